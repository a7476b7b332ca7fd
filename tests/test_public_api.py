"""The public names of the package."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import sweeps


def test_no_name_is_taken_by_a_submodule() -> None:
    for module in pkgutil.walk_packages(sweeps.__path__, "sweeps."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert list(sweeps.__all__) == sorted(sweeps.__all__)
    for name in sweeps.__all__:
        found = getattr(sweeps, name)
        assert not isinstance(found, ModuleType), name
        assert callable(found), name
        assert found.__doc__, name
        assert name in dir(sweeps)


def test_importing_the_package_imports_no_framework() -> None:
    heavy = "{'hydra', 'omegaconf', 'optuna', 'mlflow', 'sklearn', 'pandas', 'numpy'}"
    code = f"import sys, sweeps; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_another_name_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'sweeps' has no attribute 'optimise'"):
        sweeps.optimise  # noqa: B018
