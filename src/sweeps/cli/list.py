"""List the studies of a folder: state, trials, best value, when they began and how long they took."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sweeps.base.command import run_command
from sweeps.base.errors import ConfigError
from sweeps.base.say import say

if TYPE_CHECKING:
    from sweeps.sweep.listing import Listed


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line for each study, the newest last."""
    parser = argparse.ArgumentParser(prog="python -m sweeps.list", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("multirun"), help="of the studies; multirun")
    parser.add_argument("--storage", metavar="URL", help="of studies in a database behind a password")
    parser.add_argument("--json", action="store_true", help="as a JSON list, for programs")
    arguments = parser.parse_args(argv)
    run_command(lambda: _list(arguments.folder, arguments.storage, as_json=arguments.json))


def _list(folder: Path, storage: str | None, *, as_json: bool) -> None:
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; type that of the studies, such as multirun.")

    from sweeps.sweep.listing import list_studies
    from sweeps.sweep.tables import table

    studies = list(list_studies(folder, storage))
    if as_json:
        say(json.dumps([asdict(one) for one in studies], indent=2, default=str))
    elif not studies:
        say(f"{folder} holds no study; a sweep makes one: python -m sweeps.run -m")
    else:
        say(table([_row(one) for one in studies], ["study", "state", "trials", "best", "began", "took"]))


def _row(one: Listed) -> list[str]:
    began = "" if one.started is None else f"{one.started:%Y-%m-%d %H:%M}"
    best = ", ".join(f"{metric} {value:.4g}" for metric, value in one.best.items())
    took = str(timedelta(seconds=round(one.seconds))) if one.started is not None else ""
    trials = ", ".join(f"{n} {state}" for state, n in one.trials.items())
    return [one.name, one.state, trials, f"{best} (trial {one.best_trial})" if best else "", began, took]
