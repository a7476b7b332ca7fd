"""One command over all: `sweeps run ...` is `python -m sweeps.run ...`, and so on. It imports nothing slow."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from sweeps import __version__

COMMANDS = {
    "run": "sweep, or run one config: sweeps run -m model=svm,logistic",
    "resume": "resume a study: sweeps resume multirun/STUDY n_trials=100",
    "list": "list the studies of a folder: sweeps list multirun",
    "sync": "log to MLflow what it lacks of a study: sweeps sync multirun/STUDY",
    "rerun": "run one trial again, alone: sweeps rerun multirun/STUDY/3",
    "predict": "predict with a model: sweeps predict models:/NAME@champion in.csv",
    "promote": "make a version the champion by hand: sweeps promote NAME VERSION",
    "compare": "compare two versions or trials: sweeps compare models:/NAME/2 models:/NAME@champion",
    "serve": "serve a model over HTTP: sweeps serve models:/NAME@champion",
}
_COMPLETION = "completion"
_SHELLS = ("bash", "zsh")
_COMPLETION_HELP = f"print what completes this command in a shell: {_COMPLETION} {'|'.join(_SHELLS)}"


def main() -> None:
    """Run the subcommand that the command line names, as `python -m sweeps.NAME` does.

    A name that does not exist ends in one message and exit code 2.
    """
    name, *arguments = sys.argv[1:] or [""]
    if name in COMMANDS:
        sys.argv = [name, *arguments]
        runpy.run_module(f"sweeps.{name}", run_name="__main__", alter_sys=True)
    elif name == "--version":
        sys.stdout.write(f"sweeps {__version__}\n")
    elif name in ("-h", "--help"):
        sys.stdout.write(_help())
    elif name == _COMPLETION:
        _print_completion(arguments)
    else:
        _refuse(_unknown(name))


def _print_completion(arguments: list[str]) -> None:
    if arguments == ["--help"] or arguments == ["-h"]:
        sys.stdout.write(_completion_help())
    elif len(arguments) != 1 or arguments[0] not in _SHELLS:
        _refuse(_completion_help())
    else:
        sys.stdout.write(completion(arguments[0]))


def completion(shell: str) -> str:
    """The function that completes this command.

    Args:
        shell: bash or zsh.
    """
    lines = Path(__file__).with_name(f"completion.{shell}").read_text(encoding="utf-8")
    described = " ".join(f"'{name}:{said.partition(':')[0]}'" for name, said in _all().items())
    return lines.replace("@described@", described).replace("@commands@", " ".join(_all()))


def _all() -> dict[str, str]:
    return COMMANDS | {_COMPLETION: _COMPLETION_HELP}


def _help() -> str:
    lines = [f"  {name:<12}{said}" for name, said in _all().items()]
    return "\n".join(
        [
            "usage: sweeps COMMAND ...",
            "",
            "Hyperparameter sweeps: Hydra composes, Optuna searches, MLflow tracks.",
            "",
            *lines,
            "",
            "sweeps COMMAND --help says more about each; sweeps --version, which this is.",
            "",
        ]
    )


def _completion_help() -> str:
    return (
        f"sweeps {_COMPLETION} takes one shell, {' or '.join(_SHELLS)}. In ~/.bashrc or, after compinit, in ~/.zshrc:\n"
        f'    eval "$(sweeps {_COMPLETION} bash)"\n'
        f'    eval "$(sweeps {_COMPLETION} zsh)"\n'
    )


def _unknown(name: str) -> str:
    wrong = f"sweeps has no command {name}" if name else "sweeps needs a command"
    return f"{wrong}; it must be one of: {', '.join(_all())}. Type sweeps --help to see what each does.\n"


def _refuse(message: str) -> None:
    sys.stderr.write(message)
    sys.exit(2)
