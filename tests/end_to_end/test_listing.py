"""`sweeps list`: studies that ended, were killed, run, or cannot be read."""

from __future__ import annotations

import json
import signal

from .fault_site import Site


def listed(site: Site, *arguments: str) -> str:
    command = site.command("sweeps.list", *arguments)
    assert command.wait() == 0, command.out + command.err
    return command.out


def test_each_study_is_a_line_that_says_what_it_has_come_to(site: Site) -> None:
    site.sweep(study="ended")
    assert site.start(study="killed", kill="before optuna:Study.tell 3").wait() == -signal.SIGKILL
    foreign = site.folder / "multirun" / "foreign"
    foreign.mkdir()
    (foreign / "command.yaml").write_text("nothing")
    gate = site.folder / "gate"
    begun = site.n_begun()
    running = site.start(study="running", mischief=f"await:{gate}@2")
    site.wait_until_begun(begun + 1)
    rows = {line.split()[0]: line for line in listed(site).splitlines()}
    found = {one["name"]: one for one in json.loads(listed(site, "--json"))}
    gate.touch()
    assert running.wait() == 0, running.err
    assert next(iter(rows)) == "study"
    assert {name: one["state"] for name, one in found.items() if name != "foreign"} == {
        "ended": "completed",
        "killed": "cut off",
        "running": "running",
    }
    assert found["ended"]["trials"] == {"complete": 6}
    assert found["killed"]["trials"] == {"complete": 2}
    study = site.study("ended")
    assert found["ended"]["best"] == {"val_score": study.best_value}
    assert found["ended"]["best_trial"] == study.best_trial.number
    assert f"val_score {study.best_value:.4g} (trial {study.best_trial.number})" in rows["ended"]
    assert found["ended"]["seconds"] > 0
    assert "is not the record of a command" in found["foreign"]["state"]
    assert "completed" in {line.split()[0]: line for line in listed(site).splitlines()}["running"]


def test_a_folder_without_studies_and_none(site: Site) -> None:
    assert "holds no study" in listed(site, ".")
    command = site.command("sweeps.list", "nowhere")
    assert command.wait() == 1
    assert command.err.startswith("nowhere is no folder")
