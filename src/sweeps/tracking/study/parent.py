"""A sweep as MLflow runs: one parent for the study, one child for each trial, all of it read from the study."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT
from optuna import Study
from optuna.trial import FrozenTrial

from sweeps.base.errors import SweepsError, TrackingError, whole_text
from sweeps.base.say import say
from sweeps.compose.search_space import Proposal
from sweeps.study.alike import Alike
from sweeps.study.best import front_of
from sweeps.study.folder import StudyFolder
from sweeps.study.result import StudyResult
from sweeps.study.stopping import Outcome
from sweeps.study.trial_record import Record
from sweeps.tracking import own_runs
from sweeps.tracking.client import absolute_uri, is_refusal, unreachable
from sweeps.tracking.entries import identity_tags, metrics_of, milliseconds, params_of, tags_of
from sweeps.tracking.study.children import ChildRuns, Parent, run_name
from sweeps.tracking.study.log_thread import LogThread
from sweeps.tracking.study.trial_log import TrialLog

if TYPE_CHECKING:  # it is slow to import, and only plots need it
    from matplotlib.figure import Figure

# User attributes of the study
PARENT_RUN = "sweeps.parent_run_id"
TRACKING = "sweeps.tracking"  # its experiment, its dataset's name, how hyperparameters are called, the parent's tags

STUDY_ID = "sweeps.study.id"  # tag of the parent run: finds the one of a sweep that died before its study knew it

_MOST_MARKED = 50_000  # runs in one answer of MLflow
_PARENT_STATUS = {Outcome.COMPLETED: "FINISHED", Outcome.INTERRUPTED: "KILLED", Outcome.FAILED: "FAILED"}


class StudyRuns:
    """Projects a study into MLflow; a callback of the sweep.

    Trials are logged by a thread, so that no trial waits for the server, and one that is down does not stop a sweep:
    what could not be logged is tried again, and once more at the end. The parent run is remembered by the study, and a
    child is known by its parent and its trial's number, so nothing is there twice, however often a study
    is resumed.

    Args:
        client: connected.
        experiment: the experiment's id.
        study: the study.
        folder: the study's files, logged with the parent.

    Raises:
        TrackingError: the server does not answer.

    Attributes:
        parent_id: the parent run.
        is_answered: whether the server answered to the end.
    """

    def __init__(self, client: MlflowClient, experiment: str, study: Study, folder: StudyFolder) -> None:
        self.client = client
        self._experiment = experiment
        self._folder = folder
        described = study.user_attrs[TRACKING]
        with _as_tracking_error():
            known = self._known_parent(study, described["tags"])
            self.parent_id = known or self._new_parent(study, described["tags"])
        self._parent = Parent(
            experiment,
            self.parent_id,
            described["dataset"],
            described["choice_params"],
            described["metric"],
            described["names"],
        )
        self._children = ChildRuns(client, self._parent)
        if known is not None:
            with _as_tracking_error():
                self._children.find()
        self.is_answered = True
        self._log = TrialLog(self._children)
        self._queue = LogThread(self._log.log)

    def environment(self, number: int, proposal: Proposal) -> dict[str, str | None]:
        """The variables by which a trial's process finds its place in MLflow, where its app logs by itself."""
        name = run_name(number, proposal.choices)
        return own_runs.environment(absolute_uri(), self._experiment, self.parent_id, number, name)

    def on_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Have a told trial logged as a child run."""
        self._queue.put(trial)

    def on_end(self, study: Study, result: StudyResult) -> bool:
        """Log what is missing, mark the best trial and end the parent run as the sweep ended.

        Returns:
            Whether MLflow has everything.
        """
        self._log.is_sweep_over = True
        try:
            self.is_answered = self._queue.close()
        finally:
            self._log.end_process()
        if not result.is_last:  # the last process logs what is missing, and ends the parent run
            return self.is_answered
        errors: list[Exception] = [] if self.is_answered else [TrackingError("the server does not answer")]
        finished = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
        steps: list[Callable[[], None]] = []
        is_missing = any(trial.number not in self._children.complete for trial in finished)
        if is_missing or absolute_uri().startswith("http"):
            # Other processes may have logged theirs; and MLflow's client asks a server again whose answer was lost.
            steps += [self._children.find]
        if is_missing:
            steps += [partial(self._log.log, trial) for trial in finished]
        steps += [
            partial(self._log_best, result),
            partial(self._log_front, study),
            partial(self._log_alike, study),
            self._log_files,
            partial(self._log_outcome, result),
        ]
        for step in steps if self.is_answered else ():
            try:
                step()
            except Exception as error:  # noqa: BLE001 - the study has everything; MLflow is its projection
                errors.append(error)
                if not is_refusal(error):
                    self.is_answered = False
                    break  # each further step would wait for the server as long
        if errors:
            say(
                f"MLflow is incomplete: {whole_text(errors[0])}. Every trial is in {self._folder.trials}; when the "
                f"server is back: python -m sweeps.sync {self._folder.path}"
            )
        return not errors

    def child_id(self, number: int) -> str | None:
        """The run of a trial, None if it could not be logged."""
        return self._children.run_ids.get(number) if number in self._children.complete else None

    @property
    def seconds(self) -> float:
        """Spent on logging trials."""
        return self._log.seconds

    def data_digest(self, run_id: str) -> str:
        """What an app's run says by `mlflow.log_input` that it was tested on, or else of all its data; empty for none.

        Inputs for testing are those whose context begins with `test` or `eval`.
        """
        digests: dict[bool, list[str]] = {True: [], False: []}
        inputs = self.client.get_run(run_id).inputs
        for given in inputs.dataset_inputs if inputs else ():
            contexts = [tag.value for tag in given.tags if tag.key == MLFLOW_DATASET_CONTEXT]
            digests[any(context.startswith(("test", "eval")) for context in contexts)].append(given.dataset.digest)
        return " ".join(sorted(digests[True] or digests[False]))

    def set_parent_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags to the parent run."""
        self.client.log_batch(self.parent_id, tags=tags_of(tags))

    def log_figures(self, figures: Mapping[str, Figure]) -> None:
        """Add figures to the parent run's artifacts, under `plots`."""
        for name, figure in figures.items():
            self.client.log_figure(self.parent_id, figure, f"plots/{name}")

    def _known_parent(self, study: Study, tags: Mapping[str, str]) -> str | None:
        """The study's parent run, RUNNING again; None where the server does not know it."""
        known = study.user_attrs.get(PARENT_RUN) or self._parent_tagged(tags.get(STUDY_ID, ""))
        if known is None:
            return None
        try:
            if self.client.get_run(known).info.lifecycle_stage != "active":
                return None
        except MlflowException as error:
            if not is_refusal(error):
                raise
            return None
        study.set_user_attr(PARENT_RUN, known)
        self.client.update_run(known, status="RUNNING")
        return str(known)

    def _new_parent(self, study: Study, tags: Mapping[str, str]) -> str:
        everything = {**identity_tags("sweep"), "sweeps.study": study.study_name, **tags}
        run = self.client.create_run(self._experiment, tags=everything, run_name=study.study_name)
        parent_id = self._parent_tagged(tags.get(STUDY_ID, "")) or str(run.info.run_id)
        study.set_user_attr(PARENT_RUN, parent_id)
        return parent_id

    def _parent_tagged(self, study_id: str) -> str | None:
        """The parent run of a study; one made twice, as the answer to the first was lost, is deleted."""
        found = self.client.search_runs([self._experiment], f"tags.`{STUDY_ID}` = '{study_id}'")
        for run in found[1:]:
            self.client.delete_run(run.info.run_id)
        return str(found[0].info.run_id) if found else None

    def _log_best(self, result: StudyResult) -> None:
        best = result.best
        if best is None:
            return
        self._mark("sweeps.best", [best.number])
        record = Record.of(best)
        parent = self._parent
        params = params_of(record.choices, parent.choice_params, parent.dataset, record.hyperparameters, parent.names)
        tags = {"sweeps.best.trial": str(best.number)} | {f"sweeps.best.{key}": value for key, value in params.items()}
        metrics = metrics_of(record.metrics, milliseconds(None))
        self.client.log_batch(self.parent_id, metrics=metrics, tags=tags_of(tags))

    def _mark(self, tag: str, numbers: Sequence[int]) -> None:
        """Have the runs of these trials say so, and no others, which may have before the study was resumed."""
        of_parent = f"tags.mlflow.parentRunId = '{self.parent_id}'"
        marked = self.client.search_runs(
            [self._experiment], f"{of_parent} and tags.`{tag}` = 'true'", max_results=_MOST_MARKED
        )
        now = {self._children.run_ids[number] for number in numbers}
        before = {run.info.run_id for run in marked}
        for run_id in before - now:
            self.client.delete_tag(run_id, tag)
        for run_id in sorted(now - before):
            self.client.set_tag(run_id, tag, "true")

    def _log_front(self, study: Study) -> None:
        if len(study.directions) > 1:
            self._mark("sweeps.pareto", [trial.number for trial in front_of(study)])

    def _log_alike(self, study: Study) -> None:
        if (alike := Alike.of(study)) is not None:
            self._mark("sweeps.not_told_apart", alike.alike)

    def _log_outcome(self, result: StudyResult) -> None:
        self.set_parent_tags({"sweeps.outcome": result.outcome.value, "sweeps.reason": result.reason})
        self.client.set_terminated(self.parent_id, _PARENT_STATUS[result.outcome])

    def _log_files(self) -> None:
        for file in (self._folder.config, self._folder.trials, self._folder.result):
            if file.exists():
                self.client.log_artifact(self.parent_id, str(file))


@contextmanager
def _as_tracking_error() -> Iterator[None]:
    try:
        yield
    except SweepsError:
        raise
    except Exception as error:  # every store raises what its driver raises
        raise unreachable(error) from error
