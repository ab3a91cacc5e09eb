"""Relationships that break."""

from __future__ import annotations

import numpy as np

from solver.reversion.live.watch import Detector, reverting_alternatives
from stream.bench.models.breaks import FALSE_ALARM_STEPS, _Watch, breaks_found


def test_many_spreads_are_watched_as_one_is() -> None:
    """Every path has the statistics and the alarm that a detector of its own has."""
    half_life, paths = 5.0, 4
    noise = np.random.default_rng(3).normal(size=(40, paths)) + np.array([0.0, 0.5, 1.0, 3.0])
    watch = _Watch(half_life, paths)
    alternatives = reverting_alternatives(half_life)
    detectors = [Detector.fresh(alternatives)] * paths
    alarmed = [False] * paths
    for row in noise:
        watch.step(row)
        detectors = [detector.step(alternatives, float(z)) for detector, z in zip(detectors, row, strict=True)]
        for index, detector in enumerate(detectors):
            alarmed[index] |= detector.log_evidence >= np.log(FALSE_ALARM_STEPS)
        assert watch.alarmed.tolist() == alarmed
    assert alarmed == [False, False, True, True]


def test_larger_drifts_are_found_sooner() -> None:
    """The slowest median falls with the drift, and none is before the break."""
    slowest = [figure.ours for figure in breaks_found(40)]
    assert slowest == sorted(slowest, reverse=True)
    assert slowest[-1] > 0.0
