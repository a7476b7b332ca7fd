"""`sweeps.run_sweep` and `sweeps.optimize`: a sweep in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeps.api.begin import Call, begin, begin_own_app, reference_to
from sweeps.api.function_config import space_data
from sweeps.api.settings_text import overrides_of
from sweeps.api.study import Study
from sweeps.base.errors import ConfigError
from sweeps.execution.objective import Objective


def run_sweep(
    overrides: Sequence[str] = (),
    *,
    config_dir: str | Path | None = None,
    config_name: str | None = None,
    function: Callable[..., Any] | None = None,
) -> Study | list[Study]:
    """Run a sweep over a tree of configs: of our own app, or with `function` of any Hydra app.

    Without `function` it is `python -m sweeps.run -m`, and `config_dir` adds models, vectorizers and datasets of yours,
    as `--config-dir` does:

        study = sweeps.run_sweep(["model=svm,logistic", "n_trials=20"])

    With it, trials run the function on the configs of an app, as its script does with `-m hydra/sweeper=sweeps`; the
    settings are `hydra.sweeper.*`:

    >>> import sweeps
    >>> from pathlib import Path
    >>> _ = Path("conf").mkdir(), Path("conf/config.yaml").write_text("x: 1.0")
    >>> def main(cfg):
    ...     return (cfg.x - 2) ** 2
    >>> overrides = ["x=1,2,3", "hydra.sweeper.n_jobs=0"]
    >>> study = sweeps.run_sweep(overrides, config_dir="conf", function=main)
    The search space has 3 configurations: each is run once, and no sampler is needed.
    Study main-...
    >>> study.best.params, study.best.value
    ({'x': 2}, 0.0)

    Args:
        overrides: as typed after `-m`, each a text of its own.
        config_dir: a folder: of the app's configs, or of more options for our own app. With `function` and no folder,
            the primary config is one that is registered in Hydra's `ConfigStore`.
        config_name: of the app's primary config; `config` by default.
        function: takes the composed config and returns what is optimised; one that `hydra.main` decorates will do.

    Returns:
        The study, or a list where there are several, one for each dataset, or none for a dry run.

    Raises:
        SweepsError: anything that the user can mend, with the message that the command line shows.
        KeyboardInterrupt: the sweep was interrupted; its runs are closed, and `open_study` can resume it.
    """
    if isinstance(overrides, str):
        raise ConfigError(f"overrides must be a list of texts, such as {overrides.split()}; it is one text.")
    folder = None if config_dir is None else str(config_dir)
    if function is not None:
        call = Call(reference_to(function), folder, config_name or "config")
        checked = begin(call, function, list(overrides))
    elif config_name is not None:
        raise ConfigError(f"config_name={config_name} needs the app's function, too: run_sweep(..., function=main).")
    else:
        checked = begin_own_app(list(overrides), None if folder is None else Path(folder))
    studies = [Study(one.folder.path, one.settings.storage, function) for one in checked]
    return studies[0] if len(studies) == 1 else studies


def optimize(function: Callable[..., Any], space: Mapping[str, Any], *, n_trials: int = 20, **settings: Any) -> Study:
    """Run a sweep over a plain Python function, one of a notebook's cell, say.

    The defaults stand in the function's definition, the space beside it mirrors them: a leaf is a mapping of the
    search-space language, which may have `when`, or one of Optuna's distributions. The first trial runs the defaults.

    >>> import sweeps
    >>> def train(lr=0.1, kernel="linear", gamma=1.0):
    ...     return abs(lr - 0.02) + (gamma if kernel == "rbf" else 0.5)
    >>> space = {
    ...     "lr": {"type": "float", "low": 0.001, "high": 0.1, "log": True},
    ...     "kernel": {"type": "categorical", "choices": ["linear", "rbf"]},
    ...     "gamma": {"type": "float", "low": 0.1, "high": 1.0, "when": {"kernel": "rbf"}},
    ... }
    >>> study = sweeps.optimize(train, space, n_trials=5, n_jobs=0, sampler="random")
    Study train-...
    >>> len(study.trials())
    5
    >>> train(**study.best.params) == study.best.value
    True

    Args:
        function: called with keyword arguments, in worker processes unless `n_jobs=0`; returns a number, several, or a
            mapping of metrics, as an app's function does. It may call `sweeps.report` and `sweeps.current_trial`.
        space: by parameter. A mapping without `type` searches inside of a parameter that is a mapping itself.
        n_trials: the study's total.
        settings: what any app has under `hydra.sweeper`, such as `direction="maximize"`, `metric="accuracy"`,
            `n_jobs=4`, `seed=1`, `sampler="random"`, `pruner="median"`, `study_name="mine"` (the name of an earlier
            study resumes it), `repeat={"seed": [1, 2, 3]}`; an argument of the sampler is `**{"sampler.multivariate":
            False}`.

    Returns:
        The study.

    Raises:
        SweepsError: anything that the user can mend; before the first trial, nothing has been written.
        KeyboardInterrupt: the sweep was interrupted; its runs are closed, and `open_study` can resume it.
    """
    call = Call(reference_to(function), config_name="function", space=space_data(space))
    (checked,) = begin(call, function, overrides_of({"n_trials": n_trials, **settings}, Objective.prefix))
    return Study(checked.folder.path, checked.settings.storage, function)
