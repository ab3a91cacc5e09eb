"""The process for refits gives the same results as this one, and each end, hang or failure is noticed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from solver.reversion.refits.refit import Refit, Refitter
from solver.reversion.refits.rolling import RollingReversion
from stream.config import ReversionConfig
from stream.config.reversion import reversion_settings
from stream.engine.market.refits import RefitRequest, run_here
from stream.errors import RefitFailed
from stream.worker.refit_process import RefitProcess

NAMES = ("EUR", "CHF", "JPY")
SETTINGS = reversion_settings(
    ReversionConfig(methods=("sparse", "ica", "johansen"), window_steps=200, holdout_steps=50, basis_horizon_steps=2)
)


@pytest.fixture(scope="module")
def request_() -> RefitRequest:
    """CHF follows EUR, with heavy tails."""
    chance = np.random.default_rng(3)
    eur, jpy, own = 1e-4 * chance.standard_t(4, (3, 260))
    rolling = RollingReversion(3, SETTINGS, NAMES)
    for row in np.cumsum(np.column_stack([eur, eur + 0.2 * own, jpy]), axis=0):
        rolling.push(row)
    found = rolling.refit()
    assert found.betas
    return RefitRequest(rolling.stretches(), found.betas, (np.array([1.0, 0.0, -1.0]),))


@pytest.fixture
def refits() -> Iterator[RefitProcess]:
    with RefitProcess(NAMES, SETTINGS) as process:
        yield process


def assert_same(refit: Refit, expected: Refit) -> None:
    assert (refit.continues, refit.candidates_tried, refit.refusals) == (
        expected.continues,
        expected.candidates_tried,
        expected.refusals,
    )
    np.testing.assert_array_equal(refit.leg_scale, expected.leg_scale)
    assert len(refit.betas) == len(expected.betas) > 0
    for beta, same in zip(refit.betas, expected.betas, strict=True):
        np.testing.assert_array_equal(beta.weights, same.weights)
        np.testing.assert_array_equal(beta.adjustment, same.adjustment)
        assert replace(beta, weights=same.weights, adjustment=same.adjustment).__dict__ == same.__dict__


def gone(pid: int) -> bool:
    """Whether no process has this id; one that ended and was not waited for counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def until(condition: object, limit_s: float = 60.0) -> None:
    assert callable(condition)
    give_up = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


@pytest.mark.slow
def test_the_process_finds_what_is_found_here(refits: RefitProcess, request_: RefitRequest) -> None:
    """The results are equal bit for bit, also the second time: no refit depends on the one before."""
    expected = run_here(Refitter(3, SETTINGS, NAMES))(request_).result()
    for future in [refits.submit(request_) for _ in range(3)]:
        assert_same(future.result(), expected)


@pytest.mark.slow
def test_a_refit_whose_process_is_killed_is_run_again(refits: RefitProcess, request_: RefitRequest) -> None:
    """The process is killed while it waits or works. The next one gives the same answer."""
    expected = refits.submit(request_).result()
    for pause_s in (0.0, 0.005):
        before = refits.pid
        assert before is not None
        future = refits.submit(request_)
        time.sleep(pause_s)
        os.kill(before, signal.SIGKILL)
        assert_same(future.result(), expected)
        assert_same(refits.submit(request_).result(), expected)
        assert refits.pid != before
        assert gone(before)


@pytest.mark.slow
def test_a_request_that_ends_its_process_twice_is_refused(refits: RefitProcess, request_: RefitRequest) -> None:
    """A crash that the request itself causes is not tried for ever, and the next request is answered."""

    class Deadly:
        def __reduce__(self) -> tuple[object, tuple[int]]:
            return os._exit, (3,)

    deadly = replace(request_, barred=(Deadly(),))  # type: ignore[arg-type]
    with pytest.raises(RefitFailed, match="ended without an answer, twice"):
        refits.submit(deadly).result()
    assert refits.submit(request_).result().betas


@pytest.mark.slow
def test_a_refit_that_raises_is_refused_in_the_words_that_it_has_here(
    refits: RefitProcess, request_: RefitRequest
) -> None:
    """The message is in the model, so it may not depend on where the refit ran; the process lives on."""
    broken = replace(request_, stretches=replace(request_.stretches, latest=np.zeros(5)))
    here = run_here(Refitter(3, SETTINGS, NAMES))(broken).exception()
    there = refits.submit(broken).exception()
    assert isinstance(here, RefitFailed)
    assert isinstance(there, RefitFailed)
    assert str(there) == str(here)
    assert str(here).startswith("ValueError: ")
    before = refits.pid
    assert refits.submit(request_).result().betas
    assert refits.pid == before


@pytest.mark.slow
def test_a_refit_that_hangs_is_given_up(request_: RefitRequest) -> None:
    """Its process is replaced, and the time that it took is observed."""

    class Hanging:
        def __reduce__(self) -> tuple[object, tuple[float]]:
            return time.sleep, (1000.0,)

    hanging = replace(request_, barred=(Hanging(),))  # type: ignore[arg-type]
    seconds: list[float] = []
    with RefitProcess(NAMES, SETTINGS, seconds.append, timeout_s=1.0) as refits:
        before = refits.pid
        assert before is not None
        with pytest.raises(RefitFailed, match="no result within 1 s"):
            refits.submit(hanging).result()
        assert gone(before)
        assert refits.pid not in (None, before)
    assert len(seconds) == 1
    assert seconds[0] >= 1.0


@pytest.mark.slow
def test_leaving_ends_the_process_and_what_it_is_at(request_: RefitRequest) -> None:
    """A stop does not wait for refits: none of them changes what was published."""
    with RefitProcess(NAMES, SETTINGS) as refits:
        pid = refits.pid
        assert pid is not None
        futures = [refits.submit(request_) for _ in range(50)]
    assert gone(pid)
    assert all(future.done() for future in futures)
    assert isinstance(futures[-1].exception() if not futures[-1].cancelled() else RefitFailed(), RefitFailed)


ORPHAN = """
import sys, time
sys.path.insert(0, sys.argv[1])
import test_refit_process as tests
from stream.worker.refit_process import RefitProcess

if __name__ == "__main__":
    refits = RefitProcess(tests.NAMES, tests.SETTINGS)
    if sys.argv[2] == "hanging":
        class Hanging:
            def __reduce__(self):
                return time.sleep, (1000.0,)
        refits.submit(Hanging())
        time.sleep(3.0)
    print(refits.pid, flush=True)
    time.sleep(1000.0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("state", ["idle", "hanging"])
def test_the_process_does_not_outlive_the_service(state: str, tmp_path: Path) -> None:
    """Killed with -9, the service has no chance to end it; it ends by itself, also in the midst of a refit."""
    script = tmp_path / "service.py"
    script.write_text(ORPHAN)
    service = subprocess.Popen(
        [sys.executable, str(script), str(Path(__file__).parent), state], stdout=subprocess.PIPE, text=True
    )
    assert service.stdout is not None
    with service.stdout:
        child = int(service.stdout.readline())
    assert not gone(child)
    service.kill()
    service.wait()
    until(lambda: gone(child))
