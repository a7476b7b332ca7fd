"""The best trial of a study, which trials may be it, and by which rule it is chosen where several values count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from optuna import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweeps.compose.choice import Choice
from sweeps.study.attribute import METRICS
from sweeps.study.trial_record import Record
from sweeps.tasks.metrics import stderr_of

_CHOICE = "sweeps.choice"  # a user attribute of the study


@dataclass(frozen=True)
class Best:
    """The best trial of a study.

    Attributes:
        trial: completed, and keeps to the constraints.
        why: it is the best, where several values are optimised; empty otherwise.
    """

    trial: FrozenTrial
    why: str = ""


def best_trial(study: Study) -> FrozenTrial | None:
    """The completed trial that wins; see `best_of`."""
    best = best_of(study)
    return None if best is None else best.trial


def best_of(study: Study) -> Best | None:
    """The completed trial with the best value that keeps to the constraints, the earliest of equals.

    Where several values are optimised, the one on the Pareto front that the study's rule chooses: of those within one
    standard error, or a margin, of the best first value, the best by the second, and of equals by the third and so on;
    or the best by one of them. None where no trial may be it.
    """
    if len(study.directions) == 1:
        best = None
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            best = better_trial(study, best, trial)
        return None if best is None else Best(best)
    front = front_of(study)
    if not front:
        return None
    kept = study.user_attrs
    chosen = _Chosen(front, kept[METRICS], [sign_of(direction) for direction in study.directions])
    return chosen.by(Choice(**kept.get(_CHOICE, {})))


def front_of(study: Study) -> list[FrozenTrial]:
    """The trials that keep to the constraints and that no other such beats: in one value and in none it is worse."""
    return study.best_trials


def remember_choice(study: Study, choice: Choice) -> None:
    """Keep the rule by which a study's best trial is chosen; it may be another one each time a study is resumed."""
    described = asdict(choice)
    if len(study.directions) > 1 and study.user_attrs.get(_CHOICE) != described:
        study.set_user_attr(_CHOICE, described)


class _Chosen:
    """Chooses of a front, which has a trial."""

    def __init__(self, front: Sequence[FrozenTrial], metrics: Sequence[str], signs: Sequence[float]) -> None:
        self._front = front
        self._metrics = metrics
        self._signs = signs

    def by(self, choice: Choice) -> Best:
        if choice.metric is not None:
            first = self._metrics.index(choice.metric)
            return Best(min(self._front, key=self._by(first)), f"{self._extreme(first)} of the {self._n(self._front)}")
        leader = min(self._front, key=self._by(0))
        margin, named = choice.within, "the margin"
        if margin is None:
            margin, named = Record.of(leader).metrics.get(stderr_of(self._metrics[0])), "one standard error"
        if margin is None:
            why = f"{self._extreme(0)} of the {self._n(self._front)}, since its standard error is not known"
            return Best(leader, why)
        sign, bound = self._signs[0], self._signs[0] * leader.values[0] + margin
        near = [trial for trial in self._front if sign * trial.values[0] <= bound]
        why = (
            f"{self._extreme(1)} of the {self._n(near)} within {margin:.4g}, {named}, of the best {self._metrics[0]}, "
            f"{leader.values[0]:.4g}"
        )
        return Best(min(near, key=self._by(1)), why)

    def _by(self, first: int) -> Callable[[FrozenTrial], tuple[float, ...]]:
        """Ranks by one value, of equals by the next and so on, and of equals in all by the trials' order."""
        order = [first, *range(first + 1, len(self._signs)), *range(first)]
        return lambda trial: (*(self._signs[index] * trial.values[index] for index in order), trial.number)

    def _extreme(self, index: int) -> str:
        return f"the {'lowest' if self._signs[index] > 0 else 'highest'} {self._metrics[index]}"

    def _n(self, trials: Sequence[FrozenTrial]) -> str:
        return "one trial on the Pareto front" if len(trials) == 1 else f"{len(trials)} trials on the Pareto front"


def better_trial(study: Study, best: FrozenTrial | None, trial: FrozenTrial) -> FrozenTrial | None:
    """The better of the best so far and a completed trial, the earlier of equals; None where several values count."""
    if len(study.directions) > 1:
        return None
    if not is_feasible(trial):
        return best
    if best is None:
        return trial
    sign = sign_of(study.direction)
    return min(best, trial, key=lambda trial: (sign * trial.values[0], trial.number))


def is_feasible(trial: FrozenTrial) -> bool:
    """Whether a trial keeps to all constraints; one of a study without any does."""
    return all(violation <= 0 for violation in trial.constraints.values())


def least_violated(study: Study) -> FrozenTrial | None:
    """Of the completed trials, the one that breaks its constraints by the least in all, the earliest of equals."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return min(complete, key=lambda trial: (_violation(trial), trial.number), default=None)


def _violation(trial: FrozenTrial) -> float:
    return sum(max(0.0, violation) for violation in trial.constraints.values())


def sign_of(direction: StudyDirection) -> float:
    """What turns values of a direction into values of which the lowest is best."""
    return -1.0 if direction == StudyDirection.MAXIMIZE else 1.0
