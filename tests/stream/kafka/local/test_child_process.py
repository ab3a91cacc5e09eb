"""Child processes: what they say, how they end, and that none outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from stream.kafka.local.child_process import ChildProcess, output_tail

WAIT_S = 60.0


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # One that ended and that nobody has waited for yet is no running process.
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_child_that_ends_by_itself(tmp_path: Path) -> None:
    """Its exit code is known, and both its outputs stand in the file in their order."""
    child = ChildProcess(["/bin/sh", "-c", "echo one; echo two >&2; exit 7"], tmp_path / "out")
    assert child.wait(WAIT_S) == child.exit_code == 7
    child.stop(WAIT_S)
    assert output_tail(child.output_file) == "one\ntwo"
    assert output_tail(child.output_file, 1) == "two"


def test_a_child_that_still_runs(tmp_path: Path) -> None:
    """It has no exit code, waiting for it ends without one, and SIGTERM ends it."""
    child = ChildProcess(["sleep", "100"], tmp_path / "out")
    assert child.exit_code is None
    assert child.wait(0.01) is None
    child.stop(WAIT_S)
    assert child.exit_code == -signal.SIGTERM


def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    """SIGKILL follows once the time for SIGTERM is over."""
    child = ChildProcess(["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], tmp_path / "out")
    give_up_s = time.monotonic() + WAIT_S
    while output_tail(child.output_file) != "ready":
        assert time.monotonic() < give_up_s
        time.sleep(0.01)
    child.stop(0.05)
    assert child.exit_code == -signal.SIGKILL


def test_a_child_ends_with_its_parent_however_that_ends(tmp_path: Path) -> None:
    """After kill -9 of the parent, which cannot clean up, the child is gone."""
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from stream.kafka.local.child_process import ChildProcess\n"
        f"child = ChildProcess(['sleep', '100'], Path({str(tmp_path / 'out')!r}))\n"
        "print(child.process.pid, flush=True)\n"
        "time.sleep(100)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not is_gone(pid)
        parent.kill()
    give_up_s = time.monotonic() + WAIT_S
    while not is_gone(pid):
        assert time.monotonic() < give_up_s
        time.sleep(0.01)


def test_no_output_is_said_to_be_none(tmp_path: Path) -> None:
    """An error's message does not fail over a file that was never written."""
    assert output_tail(tmp_path / "none") == "(no output)"
