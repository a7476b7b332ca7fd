"""The service against what its own OpenAPI document allows and forbids, made up by schemathesis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from .conftest import Workbench
from .serving import serving
from .youtube_stand_in import youtube_stand_in

pytestmark = pytest.mark.slow
LIMITS = ["--max-batch", "20", "--max-text", "200", "--no-log"]
ROUTES = {
    "/predict": "POST",
    "/predict/batch": "POST",
    "/analyze/youtube": "POST",
    "/model": "GET",
    "/health": "GET",
    "/metrics": "GET",
}


@pytest.fixture(scope="module")
def document(two_versions: Workbench) -> Iterator[Any]:
    """The document of a running service, for whose YouTube every video is without comments."""
    with youtube_stand_in() as stand_in:
        stand_in.raw = (200, b'{"items": []}')
        youtube = {"YOUTUBE_API_KEY": "none", "SWEEPS_YOUTUBE_URL": stand_in.address}
        with serving(two_versions, *LIMITS, environ=youtube) as service:
            yield schemathesis.openapi.from_url(f"{service.address}/openapi.json")


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("path", ROUTES)
def test_every_answer_is_one_that_the_document_promises(document: Any, path: str, mode: GenerationMode) -> None:
    if mode is GenerationMode.NEGATIVE and ROUTES[path] == "GET":
        pytest.skip("it takes nothing that could be wrong")
    operation = document[path][ROUTES[path]]

    @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate()

    ask()


def test_every_route_is_asked(document: Any) -> None:
    assert set(document.raw_schema["paths"]) == set(ROUTES)
