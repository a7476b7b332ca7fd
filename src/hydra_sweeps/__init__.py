"""The start of the command `sweeps`, under a name that only this distribution has.

The package `sweeps` is not the only one of that name: that of Weights & Biases' sweep engine would take its place, or
overwrite some of its modules. So what tells them apart stands outside of it.
"""

from __future__ import annotations

import runpy
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

DISTRIBUTION = "hydra-sweeps"
_PACKAGE = "sweeps"


def main() -> None:
    """Run the command `sweeps`, as `python -m sweeps` does."""
    if sys.path[0] == str(Path(sys.argv[0]).resolve().parent):
        sys.path[0] = str(Path.cwd())  # a console script has its own folder there, `python -m` the current one
    refusal = foreign_package()
    if refusal is not None:
        sys.exit(refusal)
    runpy.run_module(_PACKAGE, run_name="__main__", alter_sys=True)


def foreign_package() -> str | None:
    """What is wrong where a package of the same name is installed, and what to type; None where all is well.

    Whether ours is hidden is seen from its folder, and another in the same place from one distribution's list of files:
    to ask all of them takes a quarter of a second.
    """
    found = find_spec(_PACKAGE)
    folders = list(found.submodule_search_locations or ()) if found else []
    if any(Path(folder, "base").is_dir() for folder in folders):
        other = _PACKAGE if _holds_package(_PACKAGE) else None
    else:
        other = next((name for name in metadata.packages_distributions().get(_PACKAGE, ()) if name != DISTRIBUTION), "")
    if other is None:
        return None
    if not other:
        where = found.origin or ", ".join(folders) if found else "missing"
        return (
            f"The package {_PACKAGE} that Python finds is not that of {DISTRIBUTION}: {where}. Rename it, or type the "
            "command in another folder."
        )
    engine = " (the sweep engine of Weights & Biases)" if other == _PACKAGE else ""
    return (
        f"The distribution {other} {metadata.version(other)}{engine} is installed beside {DISTRIBUTION}. Both have a "
        f"package {_PACKAGE}, and one overwrites or hides the other. Keep one of them; for this one, type\n"
        f"    pip uninstall -y {other} && pip install --force-reinstall --no-deps {DISTRIBUTION}\n"
        "(in a clone: pip install --no-deps -e . in place of the second command)"
    )


def _holds_package(distribution: str) -> bool:
    """Whether a distribution is installed with a package of its name: one that links to a clone's has none."""
    try:
        files = metadata.distribution(distribution).files or ()
    except metadata.PackageNotFoundError:
        return False
    return any(file.parts[0] == distribution for file in files)
