"""Which trials of a study are not told apart from its best: what is kept of it in the study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

from optuna import Study

_ALIKE = "sweeps.alike"  # a user attribute of the study


@dataclass(frozen=True)
class Alike:
    """Trials compared with the best one, by number.

    Attributes:
        best: the number of the best trial.
        alike: those that are not told apart from it, the best of them first.
        worse: those that are.
    """

    best: int
    alike: Sequence[int] = ()
    worse: Sequence[int] = ()

    @classmethod
    def of(cls, study: Study) -> Self | None:
        """What is kept; None where nothing was compared."""
        kept = study.user_attrs.get(_ALIKE)
        return None if kept is None else cls(**kept)

    def remember(self, study: Study) -> None:
        """Keep it, in the place of what was kept before."""
        described = asdict(self)
        if study.user_attrs.get(_ALIKE) != described:
            study.set_user_attr(_ALIKE, described)
