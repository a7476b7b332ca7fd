"""What a sweep asks of what it sweeps over, whether a task of ours or any Hydra app."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd
from omegaconf import DictConfig

from sweeps.base.build import locate
from sweeps.base.errors import ConfigError
from sweeps.base.predictions import Predictions
from sweeps.compose.plan import StudyPlan, names_of
from sweeps.compose.scope import Scope
from sweeps.compose.settings import Settings
from sweeps.execution.outcome import TrialResult
from sweeps.tasks.base import Predictor, Task
from sweeps.tasks.metrics import Direction

if TYPE_CHECKING:  # it is slow to import, and only plots need it
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Winner:
    """What is known of the model of a study's best trial; one that an app has logged stands in the trial's run.

    Attributes:
        scores: its metrics.
        metric: the one of them that the gate compares.
        val_metric: its counterpart inside the training part, one of `scores` as well; empty where there is none.
        direction: which way both are better.
        evaluation_id: equal for models whose `test_` scores compare; empty where the app does not say.
        selection_id: equal for models whose `val_` scores compare, too.
        lacks: why the gate cannot judge it, empty where it can.
        tags: more tags for its version.
    """

    scores: Mapping[str, float]
    metric: str
    val_metric: str
    direction: Direction
    evaluation_id: str
    selection_id: str
    lacks: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FittedWinner(Winner):
    """A model that has been fitted on the training part, and is to be stored.

    Attributes:
        predictor: the model.
        task: reads it back.
        example: a small input.
        trusted_types: what its config allows in the stored form.
    """

    predictor: Predictor
    task: type[Task]
    example: pd.DataFrame
    trusted_types: Sequence[str]


class Objective(ABC):
    """What the trials of one study run, made in the coordinator once the study's configs are composed.

    Args:
        plan: the composed configs and the search space.
        settings: of the sweep.

    Raises:
        ConfigError: the settings do not fit.
        DataError: data are missing, unreadable or unfit.

    Attributes:
        scope: what of a config may be searched.
        prefix: what stands before a setting's name on the command line; our own app has keys for them at its root.
        directions: the metrics that are optimised, and which way each is better; the first is the one shown.
        dataset: the param `dataset` of every run; None for none.
        choice_params: how the params are called that show the options of groups.
        n_reports: how often a trial reports, None where that is not known.
        measured: the metrics that trials measure inside the training part, None where that is not known.
    """

    scope: ClassVar[Scope] = Scope()
    prefix: ClassVar[str] = "hydra.sweeper."
    directions: Mapping[str, Direction]
    dataset: str | None = None
    choice_params: Mapping[str, str]
    n_reports: int | None = None
    measured: Collection[str] | None = None

    def __init__(self, plan: StudyPlan, settings: Settings) -> None:
        self.plan = plan
        self.settings = settings

    @property
    def metric(self) -> str:
        """The metric that is shown: the first, or the only one."""
        return next(iter(self.directions))

    @abstractmethod
    def check(self) -> None:
        """Refuse, before the first trial and before anything is written, whatever can be known to fail.

        Raises:
            ConfigError: a combination of options that cannot run.
            ModelError: a model that could not be stored as plain data.
        """

    @abstractmethod
    def identity(self) -> Mapping[str, str]:
        """What must not change while the study lasts, beside its search space and seed: a line for each thing."""

    @abstractmethod
    def hyperparameters(self, config: DictConfig) -> Mapping[str, Any]:
        """What is shown of a trial's config, by config key."""

    @abstractmethod
    def reader(self) -> Callable[[Any], TrialResult]:
        """Reads what the task function returned; pickled to the workers."""

    def predictions(self, config: DictConfig) -> Sequence[Predictions]:
        """What a trial's model predicts, once more, where it was run on a machine that shares no folder.

        Args:
            config: of a trial whose result says that this can be had.
        """
        raise NotImplementedError

    def data_options(self) -> Mapping[str, str]:
        """All that was set of the data and how they are parted, by the names of the settings; nothing if not known."""
        return {}

    def how_to_use(self, address: str) -> str:
        """A line that says how a registered version is used.

        Args:
            address: `models:/NAME@champion` or `models:/NAME/VERSION`.
        """
        return f"Load:    mlflow.pyfunc.load_model({address!r})"

    def names(self) -> Mapping[str, str]:
        """How each hyperparameter of the study is called, by config key."""
        space = self.plan.space
        return names_of([leaf.key.lstrip("+") for leaf in space.searched_leaves()], space.groups)

    def tags(self) -> Mapping[str, str]:
        """More tags of the study's parent run."""
        return {}

    def describe_data(self) -> Mapping[str, str]:
        """What was read, by name, for the screen and as tags of the parent run."""
        return {}

    def modules(self) -> Sequence[str]:
        """What workers may import ahead, as it takes long and surprises nobody."""
        return ()

    def figures(self, tried: Sequence[tuple[DictConfig, Mapping[str, float]]]) -> Mapping[str, Figure]:
        """Figures about a finished study by file name, from the config and the metrics of every completed trial."""
        return {}

    @abstractmethod
    def winner(self, config: DictConfig, metrics: Mapping[str, float], evaluation_id: str) -> Winner:
        """The model of the best trial, fitted now or logged then.

        Args:
            config: that the best trial ran.
            metrics: of it.
            evaluation_id: what the trial said that it measured on, empty where it did not.
        """


def objective_class(config: DictConfig) -> type[Objective]:
    """The class of the objective that `hydra.sweeper.objective` names.

    Raises:
        ConfigError: it is not one.
    """
    name = config.hydra.sweeper.objective
    found = locate(name, "hydra.sweeper.objective")
    if not (isinstance(found, type) and issubclass(found, Objective)):
        raise ConfigError(f"hydra.sweeper.objective: {name} is not a subclass of {Objective.__module__}.Objective.")
    return found
