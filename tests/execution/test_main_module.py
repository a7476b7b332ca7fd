"""The user's script, as this process and others find it."""

import sys

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
