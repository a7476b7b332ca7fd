"""Command lines that a generator made up: each runs, or ends in one message, and a refused one leaves nothing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from .conftest import Workbench, text_csv

KEYS = [
    "model", "vectorizer", "dataset", "sampler", "pruner", "experiment", "n_trials", "timeout", "patience", "target",
    "n_jobs", "seed", "metric", "study_name", "storage", "promote", "also_log", "also_log.params", "cache.max_bytes",
    "model.C", "model.kernel", "model.gamma", "model.search_space", "vectorizer.ngram_range", "vectorizer.min_df",
    "dataset.test_size", "dataset.n_folds", "dataset.label_column", "sampler.seed", "hydra.verbose", "hydra.job.name",
    "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.output_subdir", "hydra/launcher", "hydra/sweeper",
    "experiment_name", "registered_model_name", "max_failure_rate", "trial_timeout", "hydra.sweeper.params",
    "model@other", "nothing",
]  # fmt: skip
VALUES = [
    "null", "1", "0", "-1", "1.5", "nan", "inf", "1e400", "true", "''", "' '", "svm", "logistic", "svm,logistic", "[]",
    "[1,2]", "[[1]]", "{}", "{a: 1}", "{a: {b: 1}}", "${nope}", "${seed}", "${hydra:runtime.cwd}", "???", "a.b", "a/b",
    "..", "~", "interval(0,1)", "interval(1,0)", "int(interval(1,10))", "range(1,4)", "range(1,1)", "choice(1,2)",
    "choice()", "glob(*)", "glob(x*)", "tag(log,interval(0.1,1))", "sort(3,1)", "shuffle(1,2)", "a b", "ü", "9" * 400,
    "x" * 300, "tpe", "grid", "none", "median", "linear", "sqlite:///x.db", "sqlite://", "postgresql://u:p@127.0.0.1:1/x",
    "'a,b'", "\\x", "$x", "{", "]", "1,null", "NaN,1",
]  # fmt: skip
SIGNS = ["", "", "", "", "+", "++", "~"]


def command_line(rng: random.Random) -> list[str]:
    """One to three overrides, few of which make sense."""
    overrides = [f"{rng.choice(SIGNS)}{rng.choice(KEYS)}={rng.choice(VALUES)}" for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.1:
        overrides.append(f"~{rng.choice(KEYS)}")
    return overrides


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_generated_command_line_is_looked_at_or_refused_in_one_message(
    bench: Workbench, texts: Path, seed: int
) -> None:
    rng = random.Random(seed)
    for _ in range(20):
        arguments = command_line(rng)
        multirun = ["-m"] if rng.random() < 0.7 else []
        done = bench.run(*multirun, *text_csv(texts), "dry_run=true", *arguments)
        assert done.code in (0, 1), arguments
        assert "Traceback" not in done.err, (arguments, done.err)
        assert done.code == 0 or done.err.strip(), arguments
        assert len(done.err.splitlines()) <= 40, (arguments, done.err)
        assert bench.left() == [], arguments
