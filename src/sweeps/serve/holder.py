"""The model being served, and the thread that takes the next version when the alias moves."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sweeps.base.errors import ModelError, SweepsError
from sweeps.base.redact import without_passwords
from sweeps.serve.kinds import Answer, Kind, kind_of
from sweeps.serve.options import Options
from sweeps.tasks.base import Predictor
from sweeps.tasks.text.model import limit_seconds
from sweeps.tracking.models.versions import ModelSource, Version

_TURNS = 3  # in the time of a request: together with others, one by one after that has taken too long, and some rest
RETRY_AFTER = 30.0  # seconds before a version that did not load is tried again

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Served:
    """A loaded version. A request takes hold of one and is answered by it alone.

    Attributes:
        version: what is known of it.
        predictor: fitted.
        kind: how it is asked.
        since: when it was loaded.
    """

    version: Version
    predictor: Predictor
    kind: Kind
    since: datetime

    def predict(self, items: list[Any]) -> list[Answer]:
        """Predictions for items, in their order."""
        return self.kind.predict(self.predictor, items)


class ModelHolder:
    """Holds the served version, loaded on construction; `start` begins to follow the alias.

    Args:
        source: the address to follow.
        options: how often to look.
        on_event: told `switched` or `refused`, to be counted.

    Raises:
        SweepsError: the model cannot be found or loaded.
    """

    def __init__(self, source: ModelSource, options: Options, on_event: Callable[[str], None] = lambda _: None) -> None:
        self.model_uri = source.uri
        self.trouble: str | None = None  # why the alias cannot be followed just now
        self._source = source
        self._options = options
        self._on_event = on_event
        self._refused: tuple[str | None, float] = (None, 0.0)  # a version that did not load, and when to try again
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follow the alias", daemon=True)
        version, predictor = self._load()
        self.current = Served(version, predictor, kind_of(predictor)(options), datetime.now(UTC))

    def start(self) -> None:
        """Begin to follow, where the address is an alias."""
        if "@" in self.model_uri:
            self._thread.start()

    def stop(self) -> None:
        """Stop following, without waiting for a server that does not answer."""
        self._stop.set()

    def look(self) -> None:
        """Take the version that the alias points at, if it is another one and loads."""
        try:
            number = self._source.number()
            if number == self.current.version.number:
                self._say(None)
                return
            refused, again = self._refused
            if number == refused and time.monotonic() < again:
                return
            self._take(number)
        except Exception as error:  # noqa: BLE001 - whatever a server or an artifact does, the loaded version serves on
            self._say(_said(error))

    def _take(self, number: str | None) -> None:
        try:
            version, predictor = self._load()
            self._check_kind(version, predictor)
        except Exception as error:
            self._refused = number, time.monotonic() + RETRY_AFTER
            self._on_event("refused")
            raise ModelError(f"version {number} is not taken: {_said(error)}") from error
        before = self.current.version.number
        self.current = Served(version, predictor, self.current.kind, datetime.now(UTC))
        self._on_event("switched")
        self._say(None)
        _log.info("%s is version %s now; it was %s", self.model_uri, version.number, before)

    def _load(self) -> tuple[Version, Predictor]:
        version, predictor = self._source.fetch()
        limit_seconds(predictor, self._options.timeout / _TURNS)
        known, asked = version.positive_label, self._options.positive_label
        if known is None:
            version = replace(version, positive_label=asked)
        elif asked not in (None, known):
            _log.warning("--positive %s is not used: version %s says %s", asked, version.number, known)
        return version, predictor

    def _check_kind(self, version: Version, predictor: Predictor) -> None:
        if kind_of(predictor) is not type(self.current.kind):
            raise ModelError(f"{version.uri} is another kind of model; start a service of its own for it.")

    def _follow(self) -> None:
        while not self._stop.wait(self._options.follow_every):
            self.look()

    def _say(self, trouble: str | None) -> None:
        """Keep the trouble for `/health`, and log it when it is news."""
        trouble = None if trouble is None else without_passwords(trouble)
        if trouble is not None and trouble != self.trouble:
            _log.warning("version %s serves on: %s", self.current.version.number, trouble)
        self.trouble = trouble


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, SweepsError) else f"{type(error).__name__}: {error}"
