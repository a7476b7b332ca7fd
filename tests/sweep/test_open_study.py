"""Opening a study that another process has begun."""

from pathlib import Path

import optuna
import pytest

from sweeps.base.errors import StorageError
from sweeps.study.lease import Lease
from sweeps.study.storage import open_storage
from sweeps.sweep.open_study import _wait_until_described


def test_a_study_that_nobody_describes_is_given_up_with_who_began_it(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path / 's.db'}")
    study = optuna.create_study(study_name="s", storage=storage)
    first, second = Lease(study, storage), Lease(study, storage)
    first.acquire(join=False)
    second.acquire(join=True)
    with pytest.raises(StorageError, match=r"study s has no description yet: process \d+ on .* end it"):
        _wait_until_described(study, second, within=0.5)
    first.release()
    _wait_until_described(study, second, within=0.5)
    second.release()
    storage.database.engine.dispose()
