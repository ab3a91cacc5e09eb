"""A proportion and its interval."""

from __future__ import annotations

import pytest

from stream.bench.proportion import proportion


def test_the_interval_is_that_of_clopper_and_pearson() -> None:
    """Its bounds leave 2.5 % on either side: none of 60 has (.025)^(1/60) for its complement's lower bound."""
    none, all_of_them = (proportion("", "", hits, 60, "", "n").note for hits in (0, 60))
    bound = 100.0 * 0.025 ** (1 / 60)
    assert none == f"0 of 60 (0 to {100.0 - bound:.3g} %); n"
    assert all_of_them == f"60 of 60 ({bound:.3g} to 100 %); n"
    assert proportion("", "", 3, 60, "", "").ours == pytest.approx(5.0)
