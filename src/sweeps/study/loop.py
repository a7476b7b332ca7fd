"""The story of one study, from its first trial to its last. No Hydra and no MLflow in it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue

from optuna import Study, Trial
from optuna.trial import FrozenTrial, TrialState

from sweeps.base.errors import ClusterError, Interrupted, StorageError, first_line
from sweeps.base.signals import Interrupts
from sweeps.compose.constraint import Constraint
from sweeps.compose.search_space import Proposal
from sweeps.execution.outcome import Failure, TrialOutcome
from sweeps.execution.workers import TrialTimeoutError, WorkerDiedError, WorkerLostError, Workers
from sweeps.study.asking import Asked, TrialQueue
from sweeps.study.attribute import Attribute
from sweeps.study.best import Best, best_of
from sweeps.study.lease import Lease
from sweeps.study.others import SURPLUS, OtherProcesses
from sweeps.study.pruning import pruning_check
from sweeps.study.result import Callback, StudyResult
from sweeps.study.stopping import EVERY_POINT, Budget, Outcome, Stop, Tally
from sweeps.study.trial_record import CUT_OFF, tell, tell_failure

_log = logging.getLogger(__name__)
_LOOK_AROUND = 5.0  # seconds without a finished trial, after which others may have changed the study or the cluster

_MOST_LOSSES = 10  # of workers with one trial; it may well be what ends them


class _GraceOverError(Exception):
    """An interrupted sweep has waited long enough for the trials in flight."""


def no_environment(number: int, proposal: Proposal) -> Mapping[str, str | None]:
    """A trial needs to find nothing in its environment."""
    return {}


class StudyLoop:
    """A study on its way to its end, whether new or cut off before.

    Args:
        study: where trials are asked and told.
        queue: what is tried next.
        workers: where trials run; closed at the end.
        budget: when to stop.
        metrics: that are told; the first is what pruners compare.
        callbacks: told of every trial and of the end.
        lease: this process's hold on the study; None where no other process can have one.
        environment: the variables that a trial's process gets, by its number and proposal.
        n_reports: how often a trial reports, None where it may vary.
        constraints: that the best trial keeps to.
    """

    def __init__(
        self,
        study: Study,
        queue: TrialQueue,
        workers: Workers,
        budget: Budget,
        metrics: Sequence[str],
        callbacks: Sequence[Callback] = (),
        lease: Lease | None = None,
        environment: Callable[[int, Proposal], Mapping[str, str | None]] = no_environment,
        n_reports: int | None = None,
        constraints: Sequence[Constraint] = (),
    ) -> None:
        self._study = study
        self._queue = queue
        self._workers = workers
        self._budget = budget
        self._metrics = metrics
        self._callbacks = callbacks
        self._environment = environment
        self._n_reports = n_reports
        self._constraints = constraints
        self._others = OtherProcesses(study, lease, budget.n_trials)
        self._tally = Tally(study.directions, metrics, budget)
        self._events: SimpleQueue[Future[TrialOutcome] | None] = SimpleQueue()  # None: look at the signals
        self._interrupts = Interrupts(lambda: self._events.put(None))
        self._in_flight: dict[Future[TrialOutcome], Asked] = {}
        self._unheard: dict[int, Asked | None] = {}  # trials of which the callbacks have not heard
        self._stop: Stop | None = None
        self._has_said_that_it_waits = False

    def run(self) -> StudyResult:
        """Run it to its end.

        Returns:
            How it ended. An interrupt is an outcome, too; any other exception is raised after the trials in flight have
            been failed and the callbacks told.
        """
        end: Stop = Outcome.FAILED, "an error in sweeps itself"
        cause: BaseException | None = None
        try:
            with self._interrupts:
                self._requeue_orphans()
                while self._refill() or self._in_flight:
                    done = self._wait()
                    if done is not None:
                        self._tell(done)
                end = self._stop or end
        except _GraceOverError:
            end = self._stop or end
        except KeyboardInterrupt as error:
            end, cause = (Outcome.INTERRUPTED, "interrupted"), error
        except (StorageError, ClusterError) as error:
            end, cause = (Outcome.FAILED, first_line(error)), error
        finally:
            self._workers.close()
            result = self._close(end, cause)
        if cause is not None and not isinstance(cause, KeyboardInterrupt):
            raise cause
        return result

    def _requeue_orphans(self) -> None:
        """Fail the trials that dead processes left RUNNING, so that their parameters are tried again first."""
        in_flight = {asked.trial.number for asked in self._in_flight.values()}
        cut_off = self._queue.requeue_orphans(self._others.ids(), in_flight)
        self._tally.recount(self._study.get_trials(deepcopy=False))
        for trial in cut_off:
            self._notify(trial)

    def _refill(self) -> bool:
        """Ask and start trials until the workers are full.

        Returns:
            Whether there is more to do; if not, `_stop` says why, and trials may still be in flight.
        """
        if self._others.have_changed_the_study():
            self._requeue_orphans()
        while self._may_start():
            if len(self._in_flight) >= self._workers.capacity:
                break
            asked = self._queue.ask(self._tally.accepted + len(self._in_flight))
            if asked is None:
                self._stop = Outcome.COMPLETED, EVERY_POINT
                break
            self._unheard[asked.trial.number] = asked
            if self._others.have_started_the_last_before(asked.trial.number):
                told = tell_failure(self._study, asked.trial, SURPLUS, "", interrupted=True)
                if told is not None:
                    self._notify(told)
                continue
            should_prune = pruning_check(self._study, asked.trial, self._metrics[0], self._n_reports)
            environment = self._environment(asked.trial.number, asked.proposal)
            proposal = replace(asked.proposal, environment=environment)
            future = self._workers.submit(asked.trial.number, proposal, should_prune)
            self._in_flight[future] = asked
            future.add_done_callback(self._events.put)
        if self._interrupts.received is not None:
            for future in tuple(self._in_flight):
                future.cancel()  # only those that have not begun can be
        elif self._events.empty():
            self._workers.start()
        return self._stop is None

    def _may_start(self) -> bool:
        """Whether another trial may start. A stop for failures holds whatever the trials in flight still bring."""
        if self._stop is None or self._stop[0] is Outcome.COMPLETED:
            self._stop = self._tally.reason_to_stop(self._n_running())
        if self._interrupts.received is not None:
            self._stop = Outcome.INTERRUPTED, f"interrupted by {self._interrupts.received.name}"
        return self._stop is None

    def _n_running(self) -> int:
        """How many trials run; of a shared study, the tally is made in the same view, as some may have just ended."""
        if not self._others.are_at_work:
            return len(self._in_flight)
        trials = self._study.get_trials(deepcopy=False)
        self._tally.recount(trials)
        return sum(trial.state == TrialState.RUNNING for trial in trials)

    def _wait(self) -> Future[TrialOutcome] | None:
        """The next trial that has finished; None when a signal came or it is time to look around."""
        if not self._in_flight:
            return None
        patience = _LOOK_AROUND
        if self._interrupts.received is not None:
            self._say_that_it_waits()
            patience = max(0.0, self._interrupts.received_at + self._budget.grace_period - time.monotonic())
        try:
            return self._events.get(timeout=patience)
        except Empty:
            if self._interrupts.received is not None:
                raise _GraceOverError from None
            return None

    def _say_that_it_waits(self) -> None:
        n_running = sum(not future.done() for future in self._in_flight)
        if n_running and not self._has_said_that_it_waits:
            self._has_said_that_it_waits = True
            _log.warning(
                "Interrupted: %d running trials have up to %g s to finish; press Ctrl-C again to end them at once.",
                n_running,
                self._budget.grace_period,
            )

    def _tell(self, done: Future[TrialOutcome]) -> None:
        """Tell a finished trial; of one whose process died, the parameters may be tried again."""
        asked = self._in_flight.pop(done)
        if done.cancelled():
            return  # told with the others that were cut off
        trial, error = asked.trial, done.exception()
        if isinstance(error, WorkerDiedError):
            told = self._tell_death(trial, error)
        elif isinstance(error, TrialTimeoutError):
            told = tell_failure(self._study, trial, str(error), "")
        elif error is not None:
            raise error
        else:
            outcome = done.result()
            if isinstance(outcome, Failure) and outcome.is_disk_full:
                tell_failure(self._study, trial, outcome.error, outcome.traceback, interrupted=True)
                raise StorageError(f"{outcome.error}. Make space, then resume the sweep.")
            told = tell(self._study, trial, outcome, self._metrics, self._constraints)
        if told is None:  # another process had given it up, and has told of it
            del self._unheard[trial.number]
            return
        self._tally.add(told)
        self._notify(told)

    def _tell_death(self, trial: Trial, error: WorkerDiedError) -> FrozenTrial | None:
        """Tell a trial whose process died, or was lost with its machine: that costs none of its attempts."""
        losses = trial.user_attrs.get(Attribute.LOSSES, 0) + isinstance(error, WorkerLostError)
        is_own_death = not isinstance(error, WorkerLostError) or losses > _MOST_LOSSES
        attempt = trial.user_attrs.get(Attribute.ATTEMPT, 0) + is_own_death
        again = attempt <= self._budget.max_retries
        reason = f"{error} (attempt {attempt})" if is_own_death else str(error)
        counts = {Attribute.ATTEMPT: attempt, Attribute.LOSSES: losses} if losses else {Attribute.ATTEMPT: attempt}
        told = tell_failure(self._study, trial, reason, "", interrupted=again, counts=counts)
        if again and told is not None:
            self._queue.retry(told)
        return told

    def _notify(self, told: FrozenTrial) -> None:
        self._unheard.setdefault(told.number, None)
        for callback in self._callbacks:
            callback.on_trial(self._study, told)
        del self._unheard[told.number]

    def _close(self, end: Stop, cause: BaseException | None) -> StudyResult:
        """Leave nothing RUNNING, and tell every callback, even where one of them raises."""
        outcome, reason = end
        errors: list[Exception] = []
        best: Best | None = None
        is_last = True
        try:
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                asked = self._unheard.get(trial.number)
                if asked is not None:
                    tell_failure(self._study, asked.trial, CUT_OFF, "", interrupted=True)
            self._queue.requeue_orphans(self._others.ids())  # one cut off while it was drawn
            trials = self._study.get_trials(deepcopy=False)
            unheard = [trials[number] for number in sorted(self._unheard) if trials[number].state.is_finished()]
            best = best_of(self._study)
            is_last = self._others.leave_the_end_to_us()
        except StorageError as error:  # whoever takes the study up again tells them
            errors.append(error)
            unheard = []
        if outcome is Outcome.COMPLETED and not self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            outcome, reason = (
                Outcome.FAILED,
                ", and ".join(part for part in (reason, _why_none_completed(self._study)) if part),
            )
        interrupt = cause if isinstance(cause, KeyboardInterrupt) else None
        if interrupt is None and outcome is Outcome.INTERRUPTED and self._interrupts.received is not None:
            interrupt = Interrupted(self._interrupts.received)
        winner, why = (best.trial, best.why) if best else (None, "")
        result = StudyResult(outcome, reason, winner, interrupt, is_last, why)
        calls: list[Callable[[], object]] = [
            partial(callback.on_trial, self._study, told) for told in unheard for callback in self._callbacks
        ]
        calls += [partial(callback.on_end, self._study, result) for callback in self._callbacks]
        for call in calls:
            try:
                call()
            except Exception as error:  # noqa: BLE001 - raised below, when all have been told
                errors.append(error)
        if errors and cause is None:
            raise errors[0]
        return result


def _why_none_completed(study: Study) -> str:
    n_pruned = len(study.get_trials(deepcopy=False, states=(TrialState.PRUNED,)))
    return "no trial completed" + (f"; the pruner stopped {n_pruned}: try pruner=none" if n_pruned else "")
