"""What makes a study this study, and what is said when it has changed."""

from __future__ import annotations

import optuna
import pytest

from sweeps.base.errors import ConfigError
from sweeps.study.identity import IDENTITY, check_same


@pytest.mark.parametrize(("n_changed", "shown"), [(12, 12), (13, 12), (40, 12)])
def test_a_study_of_another_app_is_refused_in_a_message_that_can_be_read(n_changed: int, shown: int) -> None:
    study = optuna.create_study()
    study.set_user_attr(IDENTITY, {f"key {number}": "a" for number in range(n_changed)})
    with pytest.raises(ConfigError) as refused:
        check_same(study, {f"key {number}": "b" for number in range(n_changed)})
    _, *lines, advice = str(refused.value).splitlines()
    assert lines[:shown] == [f"  key {number}: it was a, now it is b" for number in range(shown)]
    assert lines[shown:] == ([f"  and {n_changed - shown} more"] if n_changed > shown else [])
    assert advice.startswith("Undo the change")
