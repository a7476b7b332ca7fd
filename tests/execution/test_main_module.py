"""The user's script, as this process and others find it."""

import pickle
import sys

import pytest

from sweeps.execution.main_module import MainModule, hidden_from_multiprocessing, script
from sweeps.tracking.entries import command_tags


def test_a_script_is_known_while_another_thread_hides_it_from_multiprocessing() -> None:
    main, here, tags = sys.modules["__main__"], MainModule.here(), command_tags()
    with hidden_from_multiprocessing():
        assert sys.modules["__main__"].__spec__ is None
        assert script() is main
        assert MainModule.here() == here
        assert command_tags() == tags
    assert sys.modules["__main__"] is main


def test_what_a_script_defines_is_pickled_while_another_thread_hides_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the config of an app whose dataclass stands in its script, of which the coordinator makes each trial's own."""
    config = type("Config", (), {"__module__": "__main__"})
    monkeypatch.setattr(sys.modules["__main__"], "Config", config, raising=False)
    packed = pickle.dumps(config())
    with hidden_from_multiprocessing():
        assert type(pickle.loads(packed)) is config
        assert pickle.dumps(config()) == packed
        assert getattr(sys.modules["__main__"], "__file__", None) is None
