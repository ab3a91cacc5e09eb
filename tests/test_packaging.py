"""The distribution: what the wheel holds, and that its three packages are its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = ("stream", "solver", "schemas")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def output_of(command: list[str], cwd: Path, **environment: str) -> str:
    """What `command` prints; when it fails, so does the test, with what it said."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def installed_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory with the unpacked wheel, which for a pure Python wheel is all that installing does."""
    built = tmp_path_factory.mktemp("dist")
    output_of([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)], cwd=ROOT)
    (wheel,) = built.glob("*.whl")
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def run_installed(site: Path, script: str) -> str:
    """What `script` prints when the wheel is what Python finds first, away from the checkout."""
    return output_of([sys.executable, "-c", script], cwd=site, PYTHONPATH=str(site))


def test_wheel_holds_every_file(installed_wheel: Path) -> None:
    """Every file of the packages is in the wheel (code, py.typed, JSON Schema, TOML, pages), and nothing else."""
    sources = {
        path.relative_to(ROOT)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {path.relative_to(installed_wheel) for path in installed_wheel.rglob("*") if path.is_file()}
    assert {path for path in packed if not path.parts[0].endswith(".dist-info")} == sources
    expected = [f"{package}/py.typed" for package in PACKAGES] + ["schemas/asyncapi.json", "schemas/json/tick.json"]
    assert {Path(name) for name in expected} <= packed


def test_sdist_holds_what_its_tests_read(tmp_path: Path) -> None:
    """Sources, tests, documents, deployment and the files that set up a checkout, each of them whole."""
    output_of([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)], cwd=ROOT)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    folders = (*PACKAGES, "tests", "docs", "deploy")
    expected = {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expected |= {"Makefile", "conftest.py", "constraints.txt", "pyproject.toml"}
    expected |= {path.name for path in ROOT.glob("*.md")}
    assert expected <= names, sorted(expected - names)


def test_packages_are_ours_alone(installed_wheel: Path) -> None:
    """No other installed distribution brings a `stream`, `solver` or `schemas`, and ours get imported."""
    script = f"""
import importlib, importlib.metadata, json
distributions = importlib.metadata.packages_distributions()
print(json.dumps({{
    name: [sorted(set(distributions[name])), importlib.import_module(name).__file__] for name in {PACKAGES}
}}))
"""
    for name, (distributions, file) in json.loads(run_installed(installed_wheel, script)).items():
        assert distributions == [PROJECT["name"]]
        assert Path(file).is_relative_to(installed_wheel), name


def test_metadata(installed_wheel: Path) -> None:
    """The wheel's version, Python and licence are those of pyproject.toml, and the licence text is with it."""
    (metadata,) = installed_wheel.glob("*.dist-info/METADATA")
    head = metadata.read_text(encoding="utf-8").splitlines()
    assert f"Version: {PROJECT['version']}" in head
    assert f"Requires-Python: {PROJECT['requires-python']}" in head
    assert f"License-Expression: {PROJECT['license']}" in head
    licence = next(installed_wheel.glob("*.dist-info/licenses/LICENSE"))
    assert licence.read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_command_is_importable(installed_wheel: Path) -> None:
    """The `betapack` command of the wheel points at something that can be called."""
    module, _, function = PROJECT["scripts"]["betapack"].partition(":")
    script = f"import importlib; print(callable(importlib.import_module({module!r}).{function}))"
    assert run_installed(installed_wheel, script) == "True\n"


def test_tests_are_no_package() -> None:
    """No __init__.py under tests: a tests/stream/__init__.py would shadow the real `stream`."""
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_constraints_pin_what_the_project_names() -> None:
    """Every requirement of pyproject.toml is pinned in constraints.txt, to a version that it allows."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {}
    for line in lines:
        if line and not line.startswith("#"):
            name, separator, version = line.partition("==")
            assert separator, f"not an exact pin: {line}"
            pins[canonicalize_name(name)] = version
    named = PROJECT["dependencies"] + [each for extra in PROJECT["optional-dependencies"].values() for each in extra]
    for requirement in map(Requirement, named):
        if requirement.name != PROJECT["name"]:
            assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement
