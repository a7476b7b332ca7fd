"""Pauses between tries."""

import itertools

from sweeps.base.retry import pauses


def test_each_pause_is_twice_the_one_before_up_to_the_longest():
    assert list(itertools.islice(pauses(0.5, 3.0), 5)) == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_there_are_no_more_when_the_time_is_over():
    assert list(pauses(0.5, 3.0, within=0.0)) == []
    tries = pauses(0.5, 3.0, within=3600.0)
    assert [next(tries, None), next(tries, None)] == [0.5, 1.0]
