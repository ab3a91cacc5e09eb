"""Log lines."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from stream.telemetry.notices import notice


def test_a_line_is_an_event_and_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    """Six digits of a number, and quotes around what has a space or is empty, so that a line can be split again."""
    with caplog.at_level(logging.INFO, logger="betapack"):
        notice("recovered", timestep=28_407_421, took_s=0.123456789, topic="dev.ticks", reason="no snapshot", group="")
    (record,) = caplog.records
    line = "recovered timestep=28407421 took_s=0.123457 topic=dev.ticks reason='no snapshot' group=''"
    assert record.getMessage() == line
    assert record.levelno == logging.INFO


def test_a_line_below_the_level_is_not_written(caplog: pytest.LogCaptureFixture) -> None:
    """Nor are its fields made into text."""

    class Costly:
        def __str__(self) -> str:
            raise AssertionError("made into text")

    with caplog.at_level(logging.WARNING, logger="betapack"):
        notice("polled", level=logging.DEBUG, records=Costly())
        notice("degraded", level=logging.WARNING)
    assert [record.getMessage() for record in caplog.records] == ["degraded"]


@pytest.mark.slow
@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full", "2> >(exit)"], ids=["closed", "full", "unread"])
def test_nobody_to_read_them_ends_nothing(stderr: str) -> None:
    """A service whose terminal or log is gone goes on."""
    code = (
        "import time; from stream.telemetry.notices import notice, notices_to_stderr;"
        "notices_to_stderr(); time.sleep(.2);"
        "[notice('feed', silent=True, text='x' * 9999) for _ in range(99)]; print('goes on', flush=True)"
    )
    ended = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "{code}" {stderr}'], capture_output=True, text=True, check=False
    )
    assert ended.stdout == "goes on\n"
