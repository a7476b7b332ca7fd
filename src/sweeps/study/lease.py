"""Which processes are at work on a study: leases in the study itself, so that they hold on every storage."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from optuna import Study

from sweeps.base.errors import StorageError
from sweeps.base.waiting import wait_for
from sweeps.study.signs_of_life import SignsOfLife, this_process
from sweeps.study.storage import RetryingStorage

_PREFIX = "sweeps.coordinator."  # user attributes of the study; None when released
_BEAT = 10.0  # seconds between signs of life
_LOGGED_WITHIN = 120.0  # seconds for processes that have departed to log what they ran
_LOOK_EVERY = 1.0  # seconds


class Lease:
    """This process's hold on a study.

    Processes come and depart one after the other, under the study's lock: each sees those that came before it.

    Args:
        study: to hold.
        storage: that it is in.

    Attributes:
        holder: stands for this process.
    """

    def __init__(self, study: Study, storage: RetryingStorage) -> None:
        self._study = study
        self._storage = storage
        self.holder = uuid.uuid4().hex[:16]
        self._signs = SignsOfLife()
        self._number = 0  # in the order of arrival
        self._has_departed = False
        self._looked_at, self._is_shared = -_LOOK_EVERY, False
        self._writing = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def acquire(self, *, join: bool, to_join: str = "join=true") -> None:
        """Take the lease, or join those who hold one.

        Args:
            join: whether it may.
            to_join: what to type for that.

        Raises:
            StorageError: another process is at work on the study, and `join` is false.
        """
        with self._storage.lock(self._study.study_name):
            others = sorted(self._living().values(), key=lambda lease: int(lease["number"]))
            if others and not join:
                raise StorageError(
                    f"The study {self._study.study_name} is run by process {others[0]['pid']} on {others[0]['host']}. "
                    f"Wait for it, choose another study_name, or let this process join it: {to_join}"
                )
            self._number = 1 + max((int(lease["number"]) for lease in others), default=0)
            self._write()
        self._thread.start()

    def depart(self) -> bool:
        """Be at work no more, but hold the lease still.

        Returns:
            Whether all others that are alive have departed before, so that the end of the study is up to this process.
        """
        with self._storage.lock(self._study.study_name):
            self._has_departed = True
            self._write()
            return all(lease["has_departed"] for lease in self._living().values())

    def wait_for_departed(self) -> None:
        """Wait until those that have departed have let go, too: until then they log their last trials."""

        def waited_for() -> list[Mapping[str, Any]]:
            return [lease for lease in self._living().values() if lease["has_departed"]]

        wait_for(
            lambda: not waited_for(),
            lambda: f"Waiting for {_named(waited_for())} to log the last trials ...",
            _LOGGED_WITHIN,
        )

    def release(self) -> None:
        """Give the lease back."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self._study.set_user_attr(_PREFIX + self.holder, None)

    def is_first(self) -> bool:
        """Whether no process that is still at work came before this one."""
        return not self._before()

    def named_before(self) -> str:
        """The processes that are at work and came before this one, as a message names them."""
        return _named(self._before())

    def others(self) -> list[str]:
        """The other processes that are at work on the study."""
        return list(self._living())

    def is_shared(self) -> bool:
        """Whether there are any, or were a second ago: a look costs a query."""
        now = time.monotonic()
        if now > self._looked_at + _LOOK_EVERY:
            self._looked_at, self._is_shared = now, bool(self._living())
        return self._is_shared

    def _before(self) -> list[Mapping[str, Any]]:
        return [lease for lease in self._living().values() if lease["number"] < self._number]

    def _living(self) -> dict[str, Mapping[str, Any]]:
        leases = {
            name.removeprefix(_PREFIX): lease
            for name, lease in self._study.user_attrs.items()
            if name.startswith(_PREFIX) and lease is not None
        }
        return {
            token: lease
            for token, lease in leases.items()
            if token != self.holder and self._signs.is_alive(token, lease)
        }

    def _write(self) -> None:
        with self._writing:  # one thread after the other, so that what is older is not written later
            lease = {"number": self._number, "has_departed": self._has_departed, **this_process(), "beat": time.time()}
            self._study.set_user_attr(_PREFIX + self.holder, lease)

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT):
            try:
                self._write()
            except StorageError:  # the sweep itself will say so
                return


def _named(leases: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"process {lease['pid']} on {lease['host']}" for lease in leases) or "another process"
