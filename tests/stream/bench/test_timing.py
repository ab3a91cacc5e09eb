"""How long a call takes, by either clock."""

from __future__ import annotations

import time

from stream.bench.timing import timed, timed_alone


def test_arguments_go_in_and_the_result_comes_out() -> None:
    """Beside the seconds, whatever the call returns."""
    for clock in (timed, timed_alone):
        seconds, result = clock(sorted, [3, 1, 2], reverse=True)
        assert result == [3, 2, 1]
        assert seconds >= 0.0


def test_waiting_counts_for_the_wall_clock_alone() -> None:
    """A sleep takes its time by the one and next to none by the other: no more than scheduling it takes."""
    assert timed(time.sleep, 0.05)[0] >= 0.05
    assert timed_alone(time.sleep, 0.05)[0] < 0.04
