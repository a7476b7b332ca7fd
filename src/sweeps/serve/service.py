"""What the routes share: the model, the threads that predict, the counters and the log."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sweeps.serve.batching import InTurn, MicroBatcher
from sweeps.serve.holder import ModelHolder, Served
from sweeps.serve.kinds import Answer
from sweeps.serve.metrics import Metrics
from sweeps.serve.options import Options
from sweeps.tracking.predictions.background_log import SINGLE, BackgroundLog
from sweeps.tracking.predictions.batch import PredictionBatch

_BATCHES_AT_ONCE = 2


class Service:
    """What the routes share: the model, the threads that predict, and the counters.

    Args:
        holder: follows the alias while the service runs.
        options: limits and guards.
        metrics: counters.
        log: of predictions; None: they are not logged.
    """

    def __init__(
        self, holder: ModelHolder, options: Options, metrics: Metrics, log: BackgroundLog | None = None
    ) -> None:
        self.holder = holder
        self.options = options
        self.metrics = metrics
        self._log = log
        self._together = MicroBatcher(self._predict_singles, options.max_waiting)
        self.in_turn = InTurn(_BATCHES_AT_ONCE, options.max_waiting)

    async def predict_one(self, item: Any) -> Answer:
        """The answer for one item, with the version that gave it."""
        answer: Answer = await self._together.ask(item)
        return answer

    async def predict_many(self, items: Sequence[Any], source: str) -> tuple[Served, list[Answer]]:
        """Answers for items, all of one version."""
        return await self.in_turn.run(self._predict, list(items), source)

    def start(self) -> None:
        """Begin to follow the alias and to log."""
        self.holder.start()
        if self._log is not None:
            self._log.start()
            self.metrics.log_waiting.set_function(self._log.waiting)

    def close(self) -> None:
        """End the threads, and flush the log."""
        self.holder.stop()
        self._together.close()
        self.in_turn.close()
        if self._log is not None:
            self._log.close()

    def _predict_singles(self, items: list[Any]) -> list[Answer]:
        served, answers = self._predict(items, SINGLE)
        model = model_name(served)
        return [answer | {"model": model} for answer in answers]

    def _predict(self, items: list[Any], source: str) -> tuple[Served, list[Answer]]:
        served = self.holder.current
        start = time.perf_counter()
        answers = served.predict(items)
        seconds = time.perf_counter() - start
        self.metrics.model_seconds.inc(seconds)
        self.metrics.predictions.labels(served.version.number or "").inc(len(answers))
        if self._log is not None:
            inputs = items if self.options.log_inputs else None
            self._log.add(_batch(served, source, answers, seconds, inputs))
        return served, answers


def _batch(
    served: Served, source: str, answers: Sequence[Answer], seconds: float, inputs: Sequence[Any] | None
) -> PredictionBatch:
    version = served.version
    return PredictionBatch.of(
        [answer["prediction"] for answer in answers],
        [answer.get("confidence") for answer in answers],
        model=version.name,
        version=version.number,
        run_id=version.run_id,
        source=source,
        seconds=seconds,
        positive_label=version.positive_label,
        inputs=inputs,
    )


def model_name(served: Served) -> dict[str, str | None]:
    """The version that answered, as answers name it."""
    return {"name": served.version.name, "version": served.version.number}
