"""What a benchmark hands back, and the table it becomes."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from msgspec import Struct

PINNED_PACKAGES = ("betapack", "kafka-python", "numpy", "numba", "scipy", "statsmodels", "msgspec")


class Comparison(Struct, frozen=True, kw_only=True):
    """One figure of ours beside the same figure of a reference, measured in the same run.

    `ratio` is ours over the reference's; `better` says which way is good.
    """

    what: str
    ours_label: str
    ours: float
    reference_label: str
    reference: float
    unit: str
    ratio: float
    better: str
    note: str = ""


class Report(Struct, frozen=True, kw_only=True):
    """A whole run: where, with what, and every figure."""

    machine: str
    python: str
    packages: dict[str, str]
    kafka: str
    comparisons: tuple[Comparison, ...]


def compare(
    what: str,
    ours_label: str,
    ours: float,
    reference_label: str,
    reference: float,
    unit: str,
    better: str,
    note: str = "",
) -> Comparison:
    """A `Comparison` with its ratio."""
    return Comparison(
        what=what,
        ours_label=ours_label,
        ours=ours,
        reference_label=reference_label,
        reference=reference,
        unit=unit,
        ratio=ours / reference,
        better=better,
        note=note,
    )


def report(kafka: str, comparisons: Sequence[Comparison]) -> Report:
    """The report of this machine."""
    return Report(
        machine=machine(),
        python=platform.python_version(),
        packages={name: version(name) for name in PINNED_PACKAGES},
        kafka=kafka,
        comparisons=tuple(comparisons),
    )


def machine() -> str:
    """Processor, cores and memory, as far as the system tells."""
    name, memory = platform.processor() or platform.machine(), ""
    cpuinfo, meminfo = Path("/proc/cpuinfo"), Path("/proc/meminfo")
    if cpuinfo.exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = f"{models[0]}, {len(models)} cores" if models else name
    if meminfo.exists():
        memory = f", {int(meminfo.read_text().split()[1]) / 2**20:.0f} GiB"
    return f"{name}{memory}, {platform.system()}"


def markdown(run: Report) -> str:
    """The table for the README."""
    head = [
        f"Measured on: {run.machine}; Python {run.python}; {run.kafka}.",
        "",
        "| what | ours | reference | ratio | good is |",
        "|---|---|---|---|---|",
    ]
    rows = [
        f"| {row.what} | {row.ours_label}: {_figure(row.ours)} {row.unit} "
        f"| {row.reference_label}: {_figure(row.reference)} {row.unit} | {row.ratio:.3g} | {row.better} |"
        for row in run.comparisons
    ]
    notes = [f"- {row.what}: {row.note}" for row in run.comparisons if row.note]
    return "\n".join([*head, *rows, "", *notes, ""])


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
