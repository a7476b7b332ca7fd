"""Waiting for other processes."""

import time

import pytest

from sweeps.base import waiting
from sweeps.base.waiting import wait_for


def test_waiting_is_said_once_and_given_up(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(waiting, "_SAID_AFTER", 0.1)
    assert not wait_for(lambda: False, lambda: "Waiting for Godot", within=0.8)
    assert capsys.readouterr().out.count("Godot") == 1


def test_what_comes_soon_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    until = time.monotonic() + 0.3
    assert wait_for(lambda: time.monotonic() > until, lambda: "Waiting for Godot", within=60)
    assert capsys.readouterr().out == ""
