"""What pruning saves on text, and what it costs in the best value found, over many seeds.

    python benchmarks/pruning.py                       20 seeds, 25 trials each, 1,000 reviews, 5 folds
    python benchmarks/pruning.py --seeds 5 --rows 500  quicker

Each seed draws the same trials for every pruner (sampler=random: pruning changes no draw). A fit is that of one fold,
or the one on the whole training part that a trial ends with. The best value is the best `val_f1` of the trials that ran
to their end.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from typing import Any

import optuna
from omegaconf import OmegaConf
from optuna.trial import TrialState

from sweeps.base.reporting import report_scores
from sweeps.compose.leaf import Leaf
from sweeps.compose.search_space import Proposal, SearchSpace
from sweeps.compose.space_yaml import collect
from sweeps.execution.in_process import InProcess
from sweeps.execution.outcome import TrialResult
from sweeps.study.asking import TrialQueue
from sweeps.study.loop import StudyLoop
from sweeps.study.pruning import build_pruner
from sweeps.study.samplers import SamplerFactory
from sweeps.study.stopping import Budget
from sweeps.tasks.base import Candidate
from sweeps.tasks.text.reviews import load_reviews
from sweeps.tasks.text.task import TextClassification
from trivial.command import table

OPTIONS = {"model": ("svm", "logistic"), "vectorizer": ("tfidf",)}
PRUNERS = ("none", "median", "wilcoxon", "successive_halving")


def option(group: str, name: str) -> dict[str, Any]:
    read = OmegaConf.create(resources.files("sweeps.conf").joinpath(group, f"{name}.yaml").read_text())
    plain: dict[str, Any] = OmegaConf.to_container(read)
    return plain


def space() -> SearchSpace:
    leaves = {(group, name): leaves_of(group, name) for group, names in OPTIONS.items() for name in names}
    return SearchSpace(OPTIONS, leaves, lead="model")


def leaves_of(group: str, name: str) -> tuple[Leaf, ...]:
    config = option(group, name)
    return collect(
        config.get("search_space"),
        config,
        group,
        lambda key: key.replace(group, f"{group}/{name}", 1),
        f"{group}/{name}.yaml",
    )


def candidate(proposal: Proposal) -> Candidate:
    parts: dict[str, Mapping[str, Any]] = {}
    for group, name in proposal.choices.items():
        drawn = {k.partition(".")[2]: v for k, v in proposal.values.items() if k.startswith(f"{group}.")}
        parts[group] = {k: v for k, v in option(group, name).items() if k != "search_space"} | drawn
    return Candidate(parts["model"], parts["vectorizer"], seed=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=25)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--folds", type=int, default=5)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    data = load_reviews()
    data = replace(data, texts=data.texts[: arguments.rows], labels=data.labels[: arguments.rows])
    task = TextClassification(data, n_folds=arguments.folds)

    def job(number: int, proposal: Proposal) -> TrialResult:
        evaluation = task.evaluate(candidate(proposal), report_scores)
        return TrialResult(evaluation.metrics, evaluation.seconds)

    rows = []
    unpruned: list[float] = []
    for name in PRUNERS:
        fits, best, pruned = 0, [], 0
        for seed in range(arguments.seeds):
            study = optuna.create_study(direction="maximize", pruner=build_pruner(option("pruner", name)))
            sampler = SamplerFactory({"_target_": "optuna.samplers.RandomSampler", "seed": seed}, space())
            StudyLoop(
                study, TrialQueue(study, space(), sampler), InProcess(job), Budget(arguments.trials), ["val_f1"]
            ).run()
            stopped = study.get_trials(states=(TrialState.PRUNED,))
            pruned += len(stopped)
            fits += sum(len(trial.intermediate_values) for trial in stopped)
            fits += (arguments.folds + 1) * (arguments.trials - len(stopped))
            best.append(study.best_value)
        unpruned = unpruned or best
        lost = [before - now for before, now in zip(unpruned, best, strict=True)]
        full = (arguments.folds + 1) * arguments.trials * arguments.seeds
        shares = [f"{pruned / arguments.trials / arguments.seeds:.0%}", f"{1 - fits / full:.0%}"]
        costs = [f"{statistics.mean(lost):.4f}", f"{max(lost):.4f}", f"{sum(loss > 0 for loss in lost)}"]
        rows.append([name, *shares, *costs])
    header = ["pruner", "trials pruned", "fits saved", "best val_f1 lost, mean", "at most", "seeds with a loss"]
    table(header, rows)


if __name__ == "__main__":
    main()
