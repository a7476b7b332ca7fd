"""The other processes that work on the same study (`join=true`)."""

from __future__ import annotations

from optuna import Study

from sweeps.study.attribute import is_counted
from sweeps.study.lease import Lease

SURPLUS = "another process had already started the last trial"


class OtherProcesses:
    """Who else asks and tells trials of a study.

    Args:
        study: that they share.
        lease: this process's hold on the study; None where no other process can have one.
        n_trials: the study's total.

    Attributes:
        are_at_work: whether there were any at the last look.
    """

    def __init__(self, study: Study, lease: Lease | None, n_trials: int) -> None:
        self._study = study
        self._lease = lease
        self._n_trials = n_trials
        self.are_at_work = False

    def have_changed_the_study(self) -> bool:
        """Look for them; also what the last of them told, or left, before it went, is still to be taken up."""
        were_at_work = self.are_at_work
        self.are_at_work = self._lease is not None and self._lease.is_shared()
        return self.are_at_work or were_at_work

    def ids(self) -> list[str]:
        """What stands for each of them in the trials that it asked."""
        return self._lease.others() if self._lease else []

    def have_started_the_last_before(self, number: int) -> bool:
        """Whether a trial is one too many, since others, who joined at any moment, asked the last one before it."""
        if number < self._n_trials:
            return False  # too few came before it
        before = self._study.get_trials(deepcopy=False)[:number]
        n_before = sum(is_counted(trial) or not trial.state.is_finished() for trial in before)
        if n_before < self._n_trials:
            return False
        self.are_at_work = True
        return True

    def leave_the_end_to_us(self) -> bool:
        """Be at work no more; whether all others had departed before, so that the study's end is up to this process."""
        if self._lease is None:
            return True
        is_last = self._lease.depart()
        if is_last:
            self._lease.wait_for_departed()
        return is_last
