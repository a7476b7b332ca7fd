"""A trainset as plain arrays and back: what a fitted k-NN model needs to be stored, and all it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from surprise import Trainset

from sweeps.base.errors import ModelError
from sweeps.tasks.ratings.knn.arrays import ArrayTrainset, RatingArrays, RatingLists

State = dict[str, Any]
"""numpy arrays of numbers or text, and Python scalars."""


def trainset_state(trainset: Trainset, arrays: RatingArrays) -> State:
    """Everything in a trainset, about 16 bytes a rating.

    Args:
        trainset: for the raw ids and the rating scale.
        arrays: its ratings.

    Raises:
        ModelError: raw ids are neither all integers nor all floats nor all text.
    """
    by_user, by_item = arrays.by_user, arrays.by_item
    low, high = trainset.rating_scale
    return {
        "raw_users": _raw_ids(list(map(trainset.to_raw_uid, trainset.all_users())), "user"),
        "raw_items": _raw_ids(list(map(trainset.to_raw_iid, trainset.all_items())), "item"),
        "user_starts": by_user.starts,
        "items": by_user.ids,
        "ratings": by_user.ratings,
        "item_starts": by_item.starts,
        "item_order": _places(by_user, by_item),
        "lowest_rating": float(low),
        "highest_rating": float(high),
    }


def trainset_of(state: Mapping[str, Any]) -> ArrayTrainset:
    """The trainset that `trainset_state` was given, with its lists in their order.

    Raises:
        ModelError: an entry is missing, or the arrays do not belong together.
    """
    try:
        user_starts, items, ratings = (np.asarray(state[name]) for name in ("user_starts", "items", "ratings"))
        item_starts, item_order = np.asarray(state["item_starts"]), np.asarray(state["item_order"])
        raw_users, raw_items = np.asarray(state["raw_users"]).tolist(), np.asarray(state["raw_items"]).tolist()
        scale = (float(state["lowest_rating"]), float(state["highest_rating"]))
    except KeyError as error:
        raise ModelError(f"the stored k-NN model has no entry {error}") from error
    integers = (user_starts, items, item_starts, item_order)
    if any(one.ndim != 1 or one.dtype.kind not in "iu" for one in integers) or ratings.ndim != 1:
        raise ModelError("the stored k-NN model is damaged: its arrays are not rows of numbers")
    by_user = RatingLists(user_starts.astype(np.int64), items.astype(np.int32), ratings.astype(np.float64))
    lengths = (len(items), len(ratings), len(item_order), user_starts[-1], item_starts[-1])
    in_range = len(items) and 0 <= items.min() <= items.max() < len(item_starts) - 1
    ascending = all(starts[0] == 0 and (np.diff(starts) >= 0).all() for starts in (user_starts, item_starts))
    is_order = np.array_equal(np.sort(item_order), np.arange(len(items)))
    of_ids = len(raw_users) == len(user_starts) - 1 and len(raw_items) == len(item_starts) - 1
    if len(set(lengths)) != 1 or not (in_range and ascending and is_order and of_ids):
        raise ModelError("the stored k-NN model is damaged: its arrays do not belong together")
    by_item = RatingLists(
        item_starts.astype(np.int64), by_user.owners[item_order], np.ascontiguousarray(by_user.ratings[item_order])
    )
    return ArrayTrainset(RatingArrays(by_user, by_item), scale, raw_users, raw_items)


def _places(by_user: RatingLists, by_item: RatingLists) -> np.ndarray:
    """Where each entry of `by_item` stands in `by_user`, int32; among duplicate pairs the first is the first."""
    sorted_by_user = np.lexsort((by_user.owners, by_user.ids))
    sorted_by_item = np.lexsort((by_item.ids, by_item.owners))
    places = np.empty(len(by_user.ids), np.int32)
    places[sorted_by_item] = sorted_by_user
    same = np.array_equal(by_user.ratings[places], by_item.ratings)
    if not same or not np.array_equal(by_user.owners[places], by_item.ids):
        raise ModelError("the trainset cannot be stored: its ratings by user and by item are not the same")
    return places


def _raw_ids(raw: list[Any], side: str) -> np.ndarray:
    kinds = {type(one) for one in raw}
    for allowed in ((int, np.integer), (float, np.floating), (str,)):
        if all(issubclass(kind, allowed) and kind is not bool for kind in kinds):
            ids = np.array(raw)
            if ids.dtype != np.object_ and ids.tolist() == raw:  # integers may overflow; text may end in NULs
                return ids
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise ModelError(f"{side} ids of type {names} cannot be stored: they must all be integers, all floats or all text")
