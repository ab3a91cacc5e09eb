"""Child processes that end when this process ends, and not by the terminal's Ctrl-C."""

from __future__ import annotations

import subprocess
from pathlib import Path

# The watchdog ends its process group, which the child joins, when its standard input closes. The kernel closes the
# input however the parent ends. The watchdog ignores the terminal's signals, so the parent decides when the child
# stops.
WATCHDOG = 'trap "" INT TERM HUP; read -r line; kill -KILL 0'


class ChildProcess:
    """A running command, and the watchdog that ends it when this process ends. Its output goes to `output_file`."""

    def __init__(self, command: list[str], output_file: Path, folder: Path | None = None) -> None:
        self._watchdog = subprocess.Popen(["/bin/sh", "-c", WATCHDOG], stdin=subprocess.PIPE, process_group=0)
        self.output_file = output_file
        with output_file.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                process_group=self._watchdog.pid,
            )

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return self.process.poll()

    def wait(self, timeout_s: float | None) -> int | None:
        """Wait for the child to end by itself; its exit code, or None when it still runs after `timeout_s`."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, timeout_s: float) -> None:
        """End the child with SIGTERM, and with SIGKILL after `timeout_s`."""
        self.process.terminate()
        if self.wait(timeout_s) is None:
            self.process.kill()
        self._reap()

    def kill(self) -> None:
        """End the child with SIGKILL, as a power failure would."""
        self.process.kill()
        self._reap()

    def _reap(self) -> None:
        self.process.wait()
        assert self._watchdog.stdin is not None
        self._watchdog.stdin.close()
        self._watchdog.wait()


def output_tail(output_file: Path, lines: int = 15) -> str:
    """The last lines of a child's output, for the message of an error."""
    if not output_file.exists():
        return "(no output)"
    return "\n".join(output_file.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
