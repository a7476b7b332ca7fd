"""Lines that clients cause are summed up, and no others."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest

from sweeps.serve.log_limit import LogLimit


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("uvicorn.error")
    before, logger.filters[:] = logger.filters[:], []
    yield logger
    logger.filters[:] = before


def test_the_first_of_a_kind_is_logged_and_the_rest_counted(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    limit = LogLimit(3_600)
    logger.addFilter(limit)
    for number in range(303):
        logger.warning("no HTTP")
        logger.warning("%s is no address", number)
        logging.getLogger("sweeps.serve.holder").warning("news %s", number)
    logger.error("the service failed", extra={"kind": "KeyError at a:1"})
    logger.error("the service failed", extra={"kind": "KeyError at b:2"})
    said = [record.getMessage() for record in caplog.records if record.name != "sweeps.serve.holder"]
    assert said == ["no HTTP", "0 is no address", "the service failed", "the service failed"]
    assert len(caplog.records) == 303 + 4
    limit.close()
    assert [record.getMessage() for record in caplog.records[-2:]] == [
        "302 more like this within 3600 s: no HTTP",
        "302 more like this within 3600 s: %s is no address",
    ]
    limit.close()
    assert len(caplog.records) == 303 + 6


def test_after_some_time_the_sum_is_logged_and_counting_begins_anew(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    logger.addFilter(LogLimit(0.05))
    logger.warning("no HTTP")
    logger.warning("no HTTP")
    deadline = time.monotonic() + 60
    while len(caplog.records) < 2:
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
    assert caplog.messages == ["no HTTP", "1 more like this within 0.05 s: no HTTP"]
    logger.warning("no HTTP")
    assert len(caplog.records) == 3
