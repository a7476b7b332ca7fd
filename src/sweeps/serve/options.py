"""What a service may be asked, and how it is guarded."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Options:
    """Limits and guards of a service.

    Attributes:
        max_body: bytes of a request's body.
        max_batch: texts, pairs or rows of a batch.
        max_text: characters of a text.
        max_waiting: single predictions, and batches, that wait at once; more are turned away with 503.
        timeout: seconds from a request's first byte to its answer.
        follow_every: seconds between two looks at where the alias points.
        api_key: what `X-API-Key` must hold; None: no key is asked for.
        origins: web origins whose pages may call the service (CORS).
        positive_label: the label that counts as positive, where the model's version does not say.
        log: log predictions to MLflow.
        log_inputs: with what was asked.
    """

    max_body: int = 8 * 2**20
    max_batch: int = 1_000
    max_text: int = 50_000
    max_waiting: int = 1_000
    timeout: float = 30.0
    follow_every: float = 2.0
    api_key: str | None = field(default=None, repr=False)
    origins: tuple[str, ...] = ()
    positive_label: str | None = None
    log: bool = True
    log_inputs: bool = False
