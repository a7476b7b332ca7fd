"""What a sweep tries next: interrupted trials again, the defaults, where it is to start, what the sampler proposes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna import Study, Trial
from optuna.trial import FrozenTrial, TrialState

from sweeps.compose.search_space import Proposal, SearchSpace
from sweeps.study.attribute import Attribute, is_drawn, was_cut_off
from sweeps.study.samplers import SamplerFactory
from sweeps.study.trial_record import record_proposal


@dataclass(frozen=True)
class Asked:
    """A trial that was asked and drawn."""

    trial: Trial
    proposal: Proposal


def fail_cut_off(study: Study, alive: Collection[str] = (), in_flight: Collection[int] = ()) -> list[FrozenTrial]:
    """Fail the trials that a process left RUNNING; see `TrialQueue.requeue_orphans`."""
    cut_off = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial.number in in_flight:
            continue
        proposal = trial.user_attrs.get(Attribute.PROPOSAL)
        # One without a proposal may be in the hands of a coordinator that is drawing it.
        if (proposal is None and alive) or (proposal is not None and proposal["coordinator"] in alive):
            continue
        cut_off.append(study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True))
    return cut_off


class TrialQueue:
    """Asks trials, and remembers which parameters are still owed a trial.

    All of it is read from the study, so that a study is resumed where it was interrupted: a trial that
    was fully drawn is tried again with its parameters, one half drawn is drawn again.

    Args:
        study: where trials are asked.
        space: what they are drawn from.
        samplers: the sampler of each trial.
        coordinator: stands for this process; noted with every trial.
        describe: every active hyperparameter of a proposal, known before it runs, so that a failed trial shows them.
        suggest_more: what a user's own function draws beside the space.
        starting_points: parameters, by Optuna name, that are run after the defaults.
    """

    def __init__(
        self,
        study: Study,
        space: SearchSpace,
        samplers: SamplerFactory,
        coordinator: str = "",
        describe: Callable[[Proposal], Mapping[str, Any]] = lambda proposal: proposal.values,
        suggest_more: Callable[[Proposal, Trial], Proposal] = lambda proposal, trial: proposal,
        starting_points: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._study = study
        self._space = space
        self._samplers = samplers
        self._coordinator = coordinator
        self._describe = describe
        self._suggest_more = suggest_more
        self._starting_points = starting_points
        self._queued: deque[tuple[dict[str, Any], dict[str, Any]]] = deque()  # parameters, user attributes

    def requeue_orphans(self, alive: Collection[str] = (), in_flight: Collection[int] = ()) -> list[FrozenTrial]:
        """Fail the trials that a process left RUNNING, and list what is owed a trial.

        Args:
            alive: the other coordinators that are at work; their trials are left alone.
            in_flight: the numbers of this process's own trials that run.

        Returns:
            The trials that were failed.
        """
        cut_off = fail_cut_off(self._study, alive, in_flight)
        trials = self._study.get_trials(deepcopy=False)
        defaults = self._space.defaults()
        starts = [point for point in self._starting_points if point not in defaults]
        first = [*self._unbegun(trials, Attribute.DEFAULT, defaults), *self._unbegun(trials, Attribute.START, starts)]
        self._queued = deque([*_retries(trials), *first])
        return cut_off

    def retry(self, trial: FrozenTrial) -> None:
        """Try the parameters of a trial again, whose process died."""
        self._queued.appendleft(_retry(trial))

    def ask(self, n_before: int) -> Asked | None:
        """Ask and draw a trial; None if the sampler has nothing left.

        Args:
            n_before: trials that count or are in flight; the random state is a function of the seed and of this.
        """
        self._study.sampler = self._samplers.sampler_for(n_before)
        if self._queued:
            parameters, attributes = self._queued.popleft()
            self._study.enqueue_trial(parameters, user_attrs=attributes)
        elif self._samplers.exhausted(self._study):
            return None
        trial = self._study.ask()
        self._samplers.take_in(trial)
        proposal = self._space.suggest(trial, is_default=Attribute.DEFAULT in trial.user_attrs)
        proposal = self._suggest_more(proposal, trial)
        overrides = self._space.override_texts(proposal)
        # Last: a trial without it is half drawn.
        record_proposal(trial, proposal, overrides, self._describe(proposal), self._coordinator)
        return Asked(trial, proposal)

    def _unbegun(
        self, trials: list[FrozenTrial], attribute: str, points: Sequence[Mapping[str, Any]]
    ) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """The points, known by an attribute, that no trial runs, ran, or is to run again."""
        begun = {trial.user_attrs.get(attribute) for trial in trials if is_drawn(trial) or not was_cut_off(trial)}
        return [
            (dict(parameters), {attribute: index})
            for index, parameters in enumerate(points)
            if index not in begun and self._samplers.admits(parameters)
        ]


def _retry(trial: FrozenTrial) -> tuple[dict[str, Any], dict[str, Any]]:
    kept = (Attribute.ATTEMPT, Attribute.LOSSES, Attribute.DEFAULT, Attribute.START)
    attributes = {name: trial.user_attrs[name] for name in kept if name in trial.user_attrs}
    attributes[Attribute.RETRY_OF] = trial.number
    return dict(trial.params), attributes


def _retries(trials: list[FrozenTrial]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The trials that were cut off when they had been drawn, and that no other trial has taken up."""
    cut_off = [trial for trial in trials if was_cut_off(trial)]
    half_drawn = {trial.number for trial in cut_off if not is_drawn(trial)}
    taken_up = {trial.user_attrs.get(Attribute.RETRY_OF) for trial in trials if trial.number not in half_drawn}
    return [_retry(trial) for trial in cut_off if is_drawn(trial) and trial.number not in taken_up]
