"""Where compiled kernels are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stream.cli.kernels import THREAD_VARIABLES, prepare_kernels


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """None of the variables, a cache folder of the test's own, and everything as before afterwards."""
    for variable in ("NUMBA_CACHE_DIR", *THREAD_VARIABLES):
        # Set first, so that it is put back whatever the test does to it.
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_the_folder_is_named_by_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that calls a changed one must not be found compiled: any changed source gives another folder."""
    prepare_kernels()
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    assert folder.parent == tmp_path / "betapack"
    assert folder.is_dir()
    read_bytes = Path.read_bytes

    def changed(path: Path) -> bytes:
        return read_bytes(path) + (b"#" if path.name == "vector.py" else b"")

    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr(Path, "read_bytes", changed)
    prepare_kernels()
    assert Path(os.environ["NUMBA_CACHE_DIR"]) != folder


def test_what_the_environment_says_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder and a number of threads that an operator has set are theirs; what is not set gets one thread."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/elsewhere")
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    prepare_kernels()
    assert os.environ["NUMBA_CACHE_DIR"] == "/elsewhere"
    assert [os.environ[variable] for variable in THREAD_VARIABLES] == ["4", "1", "1"]


def test_a_home_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a container: the folder is a temporary one."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    temporary = tmp_path / "temporary"
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    prepare_kernels()
    assert Path(os.environ["NUMBA_CACHE_DIR"]).parent == temporary / "betapack"
