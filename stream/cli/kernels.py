"""The folder of compiled kernels, and the number of threads they may take. Must run before numba and numpy load."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def prepare_kernels() -> None:
    """Set numba's cache folder and one BLAS thread, unless the environment already says otherwise.

    numba looks only at the source file of a kernel itself. A kernel that calls a changed kernel of another file would
    keep its old code. So the folder is named after a hash of all sources of `solver`.

    Matrices here are small: a second BLAS thread costs more than it saves (a Johansen fit of 11 series takes 1.5 ms in
    place of 0.7).
    """
    os.environ.setdefault("NUMBA_CACHE_DIR", str(_cache_folder()))
    for variable in THREAD_VARIABLES:
        os.environ.setdefault(variable, "1")


def _cache_folder() -> Path:
    digest = hashlib.sha256()
    sources = Path(__file__).parents[2] / "solver"
    for source in sorted(sources.rglob("*.py")):
        digest.update(source.read_bytes())
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = user_cache / "betapack" / f"kernels-{digest.hexdigest()[:16]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        # A home that cannot be written, as in a container: kernels are compiled again after each restart of the
        # machine.
        folder = Path(tempfile.gettempdir()) / "betapack" / folder.name
        folder.mkdir(parents=True, exist_ok=True)
    return folder
