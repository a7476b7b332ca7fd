"""Where a model address points, and what is known of the version there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from sweeps.base.errors import TrackingError
from sweeps.tasks.base import Predictor
from sweeps.tracking.client import unreachable
from sweeps.tracking.models.contenders import POSITIVE_LABEL
from sweeps.tracking.models.load import check_uri, load, split_uri
from sweeps.tracking.models.registry import PROMOTED_AT

_METRIC_TAGS = ("sweeps.train_", "sweeps.val_", "sweeps.test_")


@dataclass(frozen=True)
class Version:
    """A version of a registered model, or a model that is none.

    Attributes:
        name: the registered model's name; of a model that is none, its address.
        number: the version; None for a model that is none.
        uri: an address of exactly this version.
        run_id: the run of the trial it came from.
        metrics: of that trial, and of the refitted model.
        positive_label: the class that its precision, recall and F1 are of; None where it has none.
        promoted: when `champion` was last pointed at it by this package; None if never.
    """

    name: str
    number: str | None
    uri: str
    run_id: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    positive_label: str | None = None
    promoted: datetime | None = None


class ModelSource:
    """An address of the registry to look at and to load from, again and again.

    Args:
        client: connected.
        uri: the address.
        trusted: types and tasks outside sweeps that may be loaded.
    """

    def __init__(self, client: MlflowClient, uri: str, trusted: Sequence[str] = ()) -> None:
        self.uri = uri
        self._client = client
        self._trusted = trusted

    def number(self) -> str | None:
        """See `version_number`."""
        return version_number(self._client, self.uri)

    def fetch(self) -> tuple[Version, Predictor]:
        """The version that the address points at now, loaded.

        Raises:
            TrackingError: no such model, version or alias, or the server is out of reach.
            ModelError: not a model of ours, or in need of more trust.
        """
        version = find_version(self._client, self.uri)
        return version, load(self._client, version.uri, self._trusted)


def version_number(client: MlflowClient, model_uri: str) -> str | None:
    """The version that an address of the registry points at now; None for other addresses.

    Raises:
        TrackingError: no such model, version or alias, or the server is out of reach.
    """
    name, alias, number = split_uri(model_uri)
    if name is None or alias is None:
        return number
    try:
        return str(client.get_model_version_by_alias(name, alias).version)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise TrackingError(f"There is no registered model {name!r} any more.") from error
        if error.error_code == "INVALID_PARAMETER_VALUE":
            raise TrackingError(f"{name} has no alias {alias} any more.") from error
        raise unreachable(error) from error
    except Exception as error:  # every store raises what its driver raises
        raise unreachable(error) from error


def version_of_trial(client: MlflowClient, name: str, study: str, number: int) -> str:
    """The address of the version that was made of a trial.

    Args:
        client: connected.
        name: of the registered model.
        study: the trial's.
        number: the trial's.

    Raises:
        TrackingError: there is none, or the server is out of reach.
    """
    wanted = {"sweeps.study": study, "sweeps.trial.number": str(number)}
    try:
        for version in client.search_model_versions(f"name = '{name}'"):
            if wanted.items() <= dict(version.tags).items():
                return f"models:/{name}/{version.version}"
    except Exception as error:  # every store raises what its driver raises
        raise unreachable(error) from error
    raise TrackingError(f"{name} has no version of trial {number} of {study}.")


def find_version(client: MlflowClient, model_uri: str) -> Version:
    """What is known of the version that an address points at now.

    Raises:
        TrackingError: no such model, version or alias, or the server is out of reach.
    """
    check_uri(client, model_uri)
    name, _, _ = split_uri(model_uri)
    number = version_number(client, model_uri)
    if name is None or number is None:
        return Version(model_uri, None, model_uri)
    try:
        found = client.get_model_version(name, number)
        trial = _run_metrics(client, found.run_id)
    except Exception as error:
        raise unreachable(error) from error
    tags = found.tags
    refitted = {
        key.removeprefix("sweeps."): number
        for key in tags
        if key.startswith(_METRIC_TAGS)
        for number in _floats(tags[key])
    }
    return Version(
        name,
        number,
        f"models:/{name}/{number}",
        found.run_id or None,
        trial | refitted,
        tags.get(POSITIVE_LABEL),
        _moment(tags.get(PROMOTED_AT)),
    )


def _run_metrics(client: MlflowClient, run_id: str | None) -> dict[str, float]:
    if not run_id:
        return {}
    try:
        return dict(client.get_run(run_id).data.metrics)
    except MlflowException:  # deleted; the version's tags have the scores that matter
        return {}


def _floats(text: str) -> list[float]:
    try:
        return [float(text)]
    except ValueError:  # somebody else's tag
        return []


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if text else None
    except ValueError:
        return None
