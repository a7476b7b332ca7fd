"""Promote a version by hand: `python -m sweeps.promote NAME VERSION` points `champion` at it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from sweeps.base.command import run_command
from sweeps.base.say import say


def main(argv: Sequence[str] | None = None) -> None:
    """Move the alias `champion`."""
    parser = argparse.ArgumentParser(prog="python -m sweeps.promote", description=__doc__)
    parser.add_argument("name", help="the registered model")
    parser.add_argument("version", help="the version to promote")
    arguments = parser.parse_args(argv)
    run_command(lambda: _promote(arguments.name, arguments.version))


def _promote(name: str, version: str) -> None:
    from sweeps.tracking.client import connect
    from sweeps.tracking.models.registry import promote_by_hand

    say(promote_by_hand(connect(must_exist=True), name, version))
