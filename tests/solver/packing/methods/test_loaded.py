"""What a service loads of the packing: no method that it never runs, and none of the machinery that only those need."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import importlib
import sys

importlib.import_module(sys.argv[1])
print(*sorted(name for name in sys.modules if name.startswith("solver.packing.")))
"""

# The rooms and methods of the live path; `boxes`, `lattice` and `volume` are what `incremental` runs.
LIVE = {
    "solver.packing.bounds",
    "solver.packing.boxes",
    "solver.packing.boxes.depth_first",
    "solver.packing.boxes.repair",
    "solver.packing.boxes.tighten",
    "solver.packing.evaluation",
    "solver.packing.incumbent",
    "solver.packing.lattice",
    "solver.packing.lattice.reduction",
    "solver.packing.lattice.sphere_search",
    "solver.packing.methods",
    "solver.packing.methods.incremental",
    "solver.packing.methods.local_search",
    "solver.packing.methods.many_books",
    "solver.packing.problem",
    "solver.packing.result",
}


@pytest.mark.parametrize("entry", ["solver.packing.methods.many_books", "solver.warm"])
def test_a_service_loads_no_offline_method(entry: str) -> None:
    """Beside the room of the volume, the live entry loads what it runs and nothing else."""
    run = subprocess.run([sys.executable, "-c", PROGRAM, entry], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    loaded = {name for name in run.stdout.split() if not name.startswith("solver.packing.volume")}
    assert loaded == LIVE
