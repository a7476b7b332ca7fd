"""Locks between processes."""

import tempfile
import threading
import time
from pathlib import Path

import pytest

from sweeps.base.locks import machine_lock


def test_one_process_at_a_time_holds_a_lock_and_none_leaves_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "locks"))
    (tmp_path / "locks").mkdir()
    counter = tmp_path / "counter"
    counter.write_text("0")

    def count() -> None:
        for _ in range(100):
            with machine_lock("counter"):
                before = int(counter.read_text())
                time.sleep(0)  # lets another thread in, if the lock does
                counter.write_text(str(before + 1))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.read_text() == "800"
    assert list((tmp_path / "locks").iterdir()) == []
