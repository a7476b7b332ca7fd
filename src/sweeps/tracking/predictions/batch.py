"""What is recorded of predictions: counts and sums, which merge, and inputs where that is asked for."""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

MAX_INPUT_CHARACTERS = 1_000_000  # kept of one batch


@dataclass(frozen=True)
class PredictionBatch:
    """Predictions that are logged as one run.

    Attributes:
        model: the registered model's name, or another name for the whole.
        version: the version; empty where there is none.
        run_id: the run of the trial that the version came from; empty where unknown.
        source: who asked, such as `batch`, `youtube` or `notebook`.
        n_predictions: how many.
        n_positive: how many of them are the positive label; None where none is known.
        sum_confidence: over those that have a confidence.
        n_confident: how many have one.
        seconds: that the model took.
        started: milliseconds since 1970.
        n_calls: of the model; above 1 where calls were merged.
        inputs: an input and its prediction each, as JSON text; empty unless inputs are logged.
        n_inputs_left_out: inputs beyond what is kept.
        id: the same for the same batch, so that it is logged once.
    """

    model: str
    version: str
    run_id: str
    source: str
    n_predictions: int
    n_positive: int | None
    sum_confidence: float
    n_confident: int
    seconds: float
    started: int
    n_calls: int = 1
    inputs: tuple[str, ...] = ()
    n_inputs_left_out: int = 0
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def of(
        cls,
        predictions: Sequence[Any],
        confidences: Sequence[float | None] | None,
        *,
        model: str,
        version: str | None,
        run_id: str | None,
        source: str,
        seconds: float,
        positive_label: str | None,
        inputs: Sequence[Any] | None = None,
    ) -> Self:
        """Count predictions.

        Args:
            predictions: n labels or ratings.
            confidences: n numbers, NaN or None for an unknown one; None for models that have none.
            model: see the class.
            version: see the class.
            run_id: see the class.
            source: see the class.
            seconds: that the model took; the batch is taken to have ended now.
            positive_label: compared with each prediction as text; None where there is none.
            inputs: n inputs to be logged with their predictions; None: they are not.
        """
        known = [float(c) for c in confidences or () if c is not None and math.isfinite(c)]
        positive = None if positive_label is None else sum(str(one) == positive_label for one in predictions)
        kept, left_out = _shortened(_as_lines(inputs, predictions) if inputs is not None else ())
        return cls(
            model=model,
            version=version or "",
            run_id=run_id or "",
            source=source,
            n_predictions=len(predictions),
            n_positive=positive,
            sum_confidence=math.fsum(known),
            n_confident=len(known),
            seconds=seconds,
            started=int((time.time() - seconds) * 1000),
            inputs=kept,
            n_inputs_left_out=left_out,
        )

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for batches that may be merged."""
        return (self.model, self.version, self.run_id, self.source, str(self.n_positive is None))

    @property
    def mean_confidence(self) -> float | None:
        """Of those that have one."""
        return self.sum_confidence / self.n_confident if self.n_confident else None

    def merged(self, other: Self) -> Self:
        """Both as one, with the id of this one."""
        positive = None if self.n_positive is None or other.n_positive is None else self.n_positive + other.n_positive
        kept, left_out = _shortened(self.inputs + other.inputs)
        return replace(
            self,
            n_predictions=self.n_predictions + other.n_predictions,
            n_positive=positive,
            sum_confidence=self.sum_confidence + other.sum_confidence,
            n_confident=self.n_confident + other.n_confident,
            seconds=self.seconds + other.seconds,
            started=min(self.started, other.started),
            n_calls=self.n_calls + other.n_calls,
            inputs=kept,
            n_inputs_left_out=self.n_inputs_left_out + other.n_inputs_left_out + left_out,
        )

    def without_inputs(self) -> Self:
        """The same, its inputs counted as left out."""
        return replace(self, inputs=(), n_inputs_left_out=self.n_inputs_left_out + len(self.inputs))

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read back.

        Raises:
            ValueError: the text is no batch.
        """
        try:
            fields = json.loads(text)
            return cls(**{**fields, "inputs": tuple(fields["inputs"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"no prediction batch: {error}") from error


def _as_lines(inputs: Sequence[Any], predictions: Sequence[Any]) -> list[str]:
    pairs = zip(inputs, predictions, strict=True)
    return [json.dumps({"input": one, "prediction": prediction}, default=str) for one, prediction in pairs]


def _shortened(lines: Sequence[str]) -> tuple[tuple[str, ...], int]:
    size = 0
    for number, line in enumerate(lines):
        size += len(line)
        if size > MAX_INPUT_CHARACTERS:
            return tuple(lines[:number]), len(lines) - number
    return tuple(lines), 0
