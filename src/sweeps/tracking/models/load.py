"""A model address, what it points at, and the model there."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from sweeps.base.errors import ModelError, TrackingError, whole_text
from sweeps.base.temporary import in_own_folder
from sweeps.tasks.base import Predictor
from sweeps.tracking.client import shown_uri
from sweeps.tracking.models.mlmodel import read_flavor
from sweeps.tracking.models.pyfunc import load_predictor


def load(client: MlflowClient, model_uri: str, trusted: Sequence[str] = ()) -> Predictor:
    """Load a registered or logged model that a sweep has stored, by this package's own loader alone.

    Args:
        client: connected.
        model_uri: `models:/<name>@<alias>`, `models:/<name>/<version>` or any other model URI of MLflow.
        trusted: types and tasks beyond the built-in list, on the loader's word.

    Raises:
        TrackingError: no such model, version or alias.
        ModelError: not a model of ours, or in need of more trust.
    """
    check_uri(client, model_uri)
    with (
        in_own_folder(),
        tempfile.TemporaryDirectory() as target,
    ):  # MLflow leaves what it downloads to a folder of its own
        try:
            folder = Path(
                mlflow.artifacts.download_artifacts(
                    artifact_uri=_artifacts_of(client, model_uri), dst_path=target, tracking_uri=client.tracking_uri
                )
            )
        except Exception as error:
            raise TrackingError(f"{model_uri} cannot be fetched: {whole_text(error)}") from error
        return _load_files(model_uri, folder, read_flavor(folder, model_uri), trusted)


def _artifacts_of(client: MlflowClient, model_uri: str) -> str:
    """Where the files stand that an address means; MLflow would ask the process's own registry, not the client's."""
    name, alias, number = split_uri(model_uri)
    uri = model_uri
    if name is not None:
        number = client.get_model_version_by_alias(name, alias).version if alias is not None else number
        uri = client.get_model_version_download_uri(name, str(number))
    if _is_logged_model(uri):
        uri = client.get_logged_model(uri.removeprefix("models:/")).artifact_location
    return uri


def _is_logged_model(uri: str) -> bool:
    """Whether an address is that of a run's model, registered or not, told from a registered name as MLflow does."""
    return uri.startswith("models:/m-") and not {"/", "@"} & set(uri.removeprefix("models:/"))


def _load_files(model_uri: str, folder: Path, flavor: Mapping[str, Any], trusted: Sequence[str]) -> Predictor:
    if flavor.get("loader_module") != load_predictor.__module__:
        raise ModelError(f"{model_uri} was not stored by a sweep, so it is not loaded here; use mlflow models predict.")
    data = (folder / str(flavor.get("data"))).resolve()
    if not data.is_relative_to(folder.resolve()):
        raise ModelError(f"{model_uri} points outside its own folder ({flavor.get('data')}).")
    return load_predictor(data, trusted)


def split_uri(model_uri: str) -> tuple[str | None, str | None, str | None]:
    """Name, alias and version of a registry address, None for what it lacks, or where it is no such address."""
    if not model_uri.startswith("models:/") or _is_logged_model(model_uri):
        return None, None, None
    path = model_uri.removeprefix("models:/")
    name, slash, number = path.rpartition("/")
    if slash:  # no name has a slash
        return name, None, number
    name, _, alias = path.rpartition("@")
    return name, alias, None


def check_uri(client: MlflowClient, model_uri: str) -> None:
    """Tell unknown names, versions and aliases apart, where the URI is one of the registry.

    Raises:
        TrackingError: there is no such model, version or alias; the message lists those that there are.
    """
    name, alias, version = split_uri(model_uri)
    if name is None and ":" not in model_uri and not Path(model_uri).exists():
        raise TrackingError(
            f"{model_uri} is not a model address; type models:/{model_uri}@champion or models:/{model_uri}/VERSION."
        )
    if name is None:
        return
    if not name or not (alias or version):
        raise TrackingError(f"{model_uri} is not a model address; type models:/NAME@champion or models:/NAME/VERSION.")
    known_model(client, name)
    try:
        _ = client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, str(version))
    except MlflowException as error:
        aliases = client.get_registered_model(name).aliases
        raise TrackingError(
            f"{name} has no {'alias ' + alias if alias else f'version {version}'}; its aliases are: "
            f"{', '.join(f'{a} (version {v})' for a, v in aliases.items()) or 'none'}."
        ) from error


def known_model(client: MlflowClient, name: str) -> None:
    """Make sure that a registered model exists.

    Raises:
        TrackingError: it does not; the message lists those that do.
    """
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        known = sorted(model.name for model in client.search_registered_models())
        raise TrackingError(
            f"There is no registered model {name!r} at {shown_uri()}; there are: {', '.join(known) or 'none'}."
        ) from error
