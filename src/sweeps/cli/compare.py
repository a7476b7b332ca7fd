"""Compare two versions, or two trials: the difference of their scores, its 95 % interval, and how sure it is."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from sweeps.base.command import run_command
from sweeps.base.say import say


def main(argv: Sequence[str] | None = None) -> None:
    """Say which of two models is better, if that can be told."""
    parser = argparse.ArgumentParser(prog="python -m sweeps.compare", description=__doc__)
    parser.add_argument(
        "one", help="models:/NAME/VERSION, models:/NAME@champion, or a trial's folder, multirun/STUDY/3"
    )
    parser.add_argument("other", help="the same")
    parser.add_argument("--storage", metavar="URL", help="of the trials' database, where it is behind a password")
    arguments = parser.parse_args(argv)
    run_command(lambda: _compare(arguments.one, arguments.other, arguments.storage))


def _compare(one: str, other: str, storage: str | None) -> None:
    from sweeps.sweep.compare import compare_two

    say(compare_two(one, other, storage))
