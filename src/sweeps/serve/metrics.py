"""What Prometheus may ask."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counters of one service, in a registry of their own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        of_request = ("path", "status")
        self._requests = Counter("sweeps_requests", "Requests answered", of_request, registry=self.registry)
        self._seconds = Histogram(
            "sweeps_request_seconds", "Time to the answer", ("path",), buckets=_SECONDS, registry=self.registry
        )
        self.predictions = Counter("sweeps_predictions", "Predictions made", ("version",), registry=self.registry)
        self.model_seconds = Counter("sweeps_model_seconds", "Time inside the model", registry=self.registry)
        self.model_events = Counter(
            "sweeps_model_events",
            "Versions taken (switched) and not taken (refused)",
            ("event",),
            registry=self.registry,
        )
        self.log_waiting = Gauge(
            "sweeps_prediction_logs_waiting", "Prediction logs not yet in MLflow", registry=self.registry
        )
        self.log_merged = Counter(
            "sweeps_prediction_logs_merged", "Prediction logs merged since too many waited", registry=self.registry
        )

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def exposition(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)
