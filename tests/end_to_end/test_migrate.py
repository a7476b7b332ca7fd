"""The files in docs/migrate.md: the new ones run as printed, and search what the old ones search."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import optuna
import pytest
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from .fault_site import Site

PAGE = (Path(__file__).parents[2] / "docs/migrate.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## From ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
RATE = FloatDistribution(0.001, 1, log=True)
WIDTHS = (8, 16, 24, 32, 40, 48, 56)
DOMAINS = {
    "hydra-optuna-sweeper": {"rate": RATE, "width": IntDistribution(8, 56, step=8)},
    "W&B sweeps": {"rate": RATE, "width": CategoricalDistribution(WIDTHS)},
    "Ray Tune": {"rate": RATE, "width": CategoricalDistribution(WIDTHS)},
    "an Optuna loop of your own": {"rate": RATE, "width": IntDistribution(8, 56, step=8)},
}


def files(section: str, when: str) -> dict[str, str]:
    """The files of a section by name: those `before`, or `after`; one that is the same counts as both."""
    found = re.findall(
        r"^\*\*`([^`]+)`\*\*, ([^\n]+)\n\n```\w+\n(.*?)^```", SECTIONS[section], re.MULTILINE | re.DOTALL
    )
    return {name: text for name, told, text in found if when in told}


def test_every_section_has_both_files_and_a_command() -> None:
    assert SECTIONS.keys() == DOMAINS.keys()
    for section, text in SECTIONS.items():
        assert files(section, "before")
        assert files(section, "after")
        assert text.count("```sh\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("section", DOMAINS)
def test_the_new_files_search_the_same_as_the_old_ones(site: Site, section: str) -> None:
    for name, text in files(section, "after").items():
        (site.folder / name).write_text(text, encoding="utf-8")
    (typed,) = re.findall(r"```sh\npython (.*)\n```", SECTIONS[section])
    script, *arguments = shlex.split(typed)
    arguments += ["hydra.sweeper.study_name=s"] if arguments else []
    command = site.command(script, *arguments)
    assert command.wait() == 0, command.out + command.err
    trials = site.study().get_trials()
    assert len(trials) == 12
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    for trial in trials:
        assert trial.distributions == DOMAINS[section]


def test_the_optuna_loop_has_these_domains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (old,) = files("an Optuna loop of your own", "before").values()
    exec(compile(old, "search.py", "exec"), {"__name__": "__main__"})
    study = optuna.load_study(study_name="s", storage="sqlite:///study.db")
    assert {len(study.trials)} == {12}
    assert study.trials[0].distributions == DOMAINS["an Optuna loop of your own"]


def test_the_sweep_file_has_these_domains() -> None:
    old = yaml.safe_load(files("W&B sweeps", "before")["sweep.yaml"])
    new = yaml.safe_load(files("W&B sweeps", "after")["config.yaml"])
    rate, width = old["parameters"]["rate"], old["parameters"]["width"]
    space = new["search_space"]
    assert (rate["min"], rate["max"]) == (space["rate"]["low"], space["rate"]["high"])
    assert width["values"] == space["width"]["choices"]
    assert old["run_cap"] == new["hydra"]["sweeper"]["n_trials"]


def test_one_word_differs_for_hydra_optuna_sweeper() -> None:
    (before, after) = (files("hydra-optuna-sweeper", when)["config.yaml"].split() for when in ("before", "after"))
    assert [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]] == [("optuna", "sweeps")]
