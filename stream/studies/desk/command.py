"""The command: simulate the desk under every policy and print the comparison."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from stream.studies.desk.comparison import Study, table
from stream.studies.desk.run import DeskSettings, run_desk


def desk_command(settings: DeskSettings, json: bool, say: Callable[[str], None]) -> Study:
    """The study of `settings`; its table, or with `json` every outcome of it, is printed. Raises as `run_desk`."""
    study = run_desk(settings, say)
    print(msgspec.json.encode(study).decode() if json else table(study))
    return study
