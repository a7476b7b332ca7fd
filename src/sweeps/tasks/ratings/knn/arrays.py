"""A Surprise trainset as arrays, and arrays as a Surprise trainset.

Surprise keeps `ur[user] = [(item, rating), ...]` and `ir[item] = [(user, rating), ...]`. The order of these lists
decides ties among neighbours and the last bits of sums, so both are kept as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain, repeat

import numpy as np
from surprise import Trainset

from sweeps.base.errors import DataError
from sweeps.base.jit import kernel


@dataclass(frozen=True)
class RatingLists:
    """The lists of `ur` or `ir`, one after the other.

    Attributes:
        starts: where each list starts, and the end of the last, shape (n + 1,), int64.
        ids: the other side's inner ids, shape (n_ratings,), int32.
        ratings: shape (n_ratings,), float64.
    """

    starts: np.ndarray
    ids: np.ndarray
    ratings: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        """The number of ratings in each list, shape (n,), int64."""
        return np.diff(self.starts)

    @property
    def owners(self) -> np.ndarray:
        """The list that each entry stands in, shape (n_ratings,), int32."""
        return np.repeat(np.arange(len(self), dtype=np.int32), self.lengths)

    @cached_property
    def has_duplicates(self) -> bool:
        """Whether an id stands twice in one list."""
        return _has_duplicates(self.starts, self.ids, int(self.ids.max()) + 1)

    @cached_property
    def fingerprint(self) -> str:
        """Equal for equal lists in equal order, and only for those."""
        return fingerprint_of(self.starts, self.ids, self.ratings)

    def ratings_of(self, one: int) -> np.ndarray:
        """The ratings of one list, in its order."""
        return self.ratings[self.starts[one] : self.starts[one + 1]]


def fingerprint_of(*arrays: np.ndarray) -> str:
    """Equal for equal arrays of equal types."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


class RatingArrays:
    """All ratings of a trainset, by user and by item; a side is only read where it is needed.

    Args:
        by_user: `trainset.ur`, or what reads it.
        by_item: `trainset.ir`, or what reads it.
    """

    def __init__(
        self, by_user: RatingLists | Callable[[], RatingLists], by_item: RatingLists | Callable[[], RatingLists]
    ) -> None:
        self._by_user = by_user
        self._by_item = by_item

    @cached_property
    def by_user(self) -> RatingLists:
        """`trainset.ur`."""
        return self._by_user if isinstance(self._by_user, RatingLists) else self._by_user()

    @cached_property
    def by_item(self) -> RatingLists:
        """`trainset.ir`."""
        return self._by_item if isinstance(self._by_item, RatingLists) else self._by_item()

    @cached_property
    def global_mean(self) -> float:
        """The mean of all ratings, summed in Surprise's order."""
        return float(np.mean(self.by_user.ratings))

    @property
    def fingerprint(self) -> tuple[str, str]:
        """Equal for equal lists in equal order, and only for those."""
        return (self.by_user.fingerprint, self.by_item.fingerprint)


def arrays_of(trainset: Trainset) -> RatingArrays | None:
    """The ratings of a trainset, or None where arrays cannot stand for it: inner ids do not count from 0.

    Surprise always numbers them so, in the order of the dictionaries; a trainset made by hand may be different.

    Args:
        trainset: any Surprise trainset with at least one rating; an `ArrayTrainset` costs nothing.
    """
    if isinstance(trainset, ArrayTrainset):
        return trainset.arrays
    for lists, n in ((trainset.ur, trainset.n_users), (trainset.ir, trainset.n_items)):
        if len(lists) != n or n == 0 or any(key != place for place, key in enumerate(lists)):
            return None
    return RatingArrays(  # of what can be pickled, so that a fitted model can be
        partial(_flatten, trainset.ur, trainset.n_users, trainset.n_items),
        partial(_flatten, trainset.ir, trainset.n_items, trainset.n_users),
    )


def _flatten(lists: Mapping[int, Sequence[tuple[int, float]]], n: int, n_others: int) -> RatingLists:
    starts = np.zeros(n + 1, np.int64)
    np.cumsum(np.fromiter(map(len, lists.values()), np.int64, n), out=starts[1:])
    numbers = np.fromiter(chain.from_iterable(chain.from_iterable(lists.values())), np.float64)
    ids = numbers[::2].astype(np.int32)
    ratings = np.ascontiguousarray(numbers[1::2])
    if len(ratings) != starts[-1] or not (np.isfinite(ratings).all() and 0 <= ids.min() <= ids.max() < n_others):
        raise DataError("the trainset has a rating that is not a finite number, or an inner id that is out of range")
    return RatingLists(starts, ids, ratings)


class InnerIds:
    """Looks up the inner ids of a trainset.

    Args:
        trainset: any Surprise trainset.
    """

    def __init__(self, trainset: Trainset) -> None:
        self._users = {trainset.to_raw_uid(user): user for user in trainset.all_users()}
        self._items = {trainset.to_raw_iid(item): item for item in trainset.all_items()}

    def of(self, uids: Iterable[Hashable], iids: Iterable[Hashable]) -> tuple[np.ndarray, np.ndarray]:
        """Inner ids of raw ones, int32; -1 for those that are not in the trainset."""
        return (
            np.fromiter(map(self._users.get, uids, repeat(-1)), np.int32),
            np.fromiter(map(self._items.get, iids, repeat(-1)), np.int32),
        )


class ListsView(Mapping[int, list[tuple[int, float]]]):
    """`RatingLists` read as Surprise reads `ur` and `ir`: a mapping from inner id to a list of (id, rating)."""

    def __init__(self, lists: RatingLists) -> None:
        self._lists = lists

    def __getitem__(self, one: int) -> list[tuple[int, float]]:
        if one not in self:
            raise KeyError(one)
        start, stop = self._lists.starts[one], self._lists.starts[one + 1]
        return list(zip(self._lists.ids[start:stop].tolist(), self._lists.ratings[start:stop].tolist(), strict=True))

    def __contains__(self, one: object) -> bool:
        return isinstance(one, (int, np.integer)) and 0 <= int(one) < len(self._lists)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self._lists)))

    def __len__(self) -> int:
        return len(self._lists)


class ArrayTrainset(Trainset):  # type: ignore[misc]  # Surprise ships no types
    """A Surprise trainset kept as arrays: 24 bytes a rating instead of some 200.

    Any Surprise algorithm can be fitted on it; `ur` and `ir` are read-only views.

    Args:
        arrays: the ratings.
        rating_scale: lowest and highest rating.
        raw_users: raw id of each inner user id, in order.
        raw_items: raw id of each inner item id, in order.
    """

    def __init__(
        self,
        arrays: RatingArrays,
        rating_scale: tuple[float, float],
        raw_users: Sequence[Hashable],
        raw_items: Sequence[Hashable],
    ) -> None:
        super().__init__(
            ListsView(arrays.by_user),
            ListsView(arrays.by_item),
            len(arrays.by_user),
            len(arrays.by_item),
            len(arrays.by_user.ids),
            rating_scale,
            {raw: inner for inner, raw in enumerate(raw_users)},
            {raw: inner for inner, raw in enumerate(raw_items)},
        )
        self.arrays = arrays
        self._global_mean = arrays.global_mean

    @classmethod
    def of_ratings(
        cls,
        users: np.ndarray,
        items: np.ndarray,
        ratings: np.ndarray,
        rating_scale: tuple[float, float],
    ) -> ArrayTrainset:
        """The trainset that Surprise would build from these rows, in this order.

        Args:
            users: raw ids, shape (n_ratings,), any dtype that can be sorted.
            items: raw ids, of the same shape.
            ratings: of the same shape, finite.
            rating_scale: lowest and highest rating.

        Raises:
            DataError: no rows, arrays of different lengths or a rating that is not a finite number.
        """
        if not 0 < len(ratings) == len(users) == len(items):
            raise DataError(f"{len(users)} users, {len(items)} items and {len(ratings)} ratings: one of each a row")
        ratings = np.ascontiguousarray(ratings, np.float64)
        if not np.isfinite(ratings).all():
            raise DataError("ratings must be finite numbers")
        inner_users, raw_users = _numbered(users)
        inner_items, raw_items = _numbered(items)
        arrays = RatingArrays(
            _grouped(inner_users, inner_items, ratings, len(raw_users)),
            _grouped(inner_items, inner_users, ratings, len(raw_items)),
        )
        return cls(arrays, rating_scale, raw_users, raw_items)


def _numbered(raw: np.ndarray) -> tuple[np.ndarray, list[Hashable]]:
    """Inner ids in the order of first appearance, and the raw id of each."""
    values, first, codes = np.unique(raw, return_index=True, return_inverse=True)
    order = np.argsort(first)
    inner = np.empty(len(values), np.int32)
    inner[order] = np.arange(len(values), dtype=np.int32)
    return inner[codes], values[order].tolist()


def _grouped(owners: np.ndarray, ids: np.ndarray, ratings: np.ndarray, n: int) -> RatingLists:
    order = np.argsort(owners, kind="stable")
    starts = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(owners, minlength=n), out=starts[1:])
    return RatingLists(starts, ids[order].astype(np.int32, copy=False), ratings[order])


@kernel
def transpose(starts: np.ndarray, ids: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Group entries by id instead of by list, keeping their order (a counting sort).

    Args:
        starts, ids: of `RatingLists`.
        n: ids run from 0 to n - 1.

    Returns:
        starts (n + 1,) int64; the list each entry came from, int32; the entry's place in `ids`, int64.
    """
    out_starts = np.zeros(n + 1, np.int64)
    for one in ids:
        out_starts[one + 1] += 1
    for place in range(n):
        out_starts[place + 1] += out_starts[place]
    free = out_starts[:-1].copy()
    owners = np.empty(len(ids), np.int32)
    origins = np.empty(len(ids), np.int64)
    for owner in range(len(starts) - 1):
        for entry in range(starts[owner], starts[owner + 1]):
            place = free[ids[entry]]
            free[ids[entry]] += 1
            owners[place] = owner
            origins[place] = entry
    return out_starts, owners, origins


@kernel
def _has_duplicates(starts: np.ndarray, ids: np.ndarray, n: int) -> bool:
    last_seen = np.zeros(n, np.int64)  # counting lists from 1
    for owner in range(len(starts) - 1):
        for entry in range(starts[owner], starts[owner + 1]):
            if last_seen[ids[entry]] == owner + 1:
                return True
            last_seen[ids[entry]] = owner + 1
    return False
