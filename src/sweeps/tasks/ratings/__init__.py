"""Recommendation from ratings, with Surprise, which the extra `recommend` installs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from sweeps.tasks.ratings.model import Recommender


def is_recommender(model: object) -> TypeGuard[Recommender]:
    """Whether a model is a `Recommender`; asked where Surprise may not be installed."""
    if "surprise" not in sys.modules:  # then nobody has made one
        return False
    from sweeps.tasks.ratings.model import Recommender

    return isinstance(model, Recommender)
