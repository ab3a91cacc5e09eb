"""The figures of a benchmark, and the table of them."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from msgspec import Struct

NAMED_PACKAGES = (
    "betapack",
    "kafka-python",
    "numpy",
    "numba",
    "scipy",
    "statsmodels",
    "msgspec",
    "CurrencyConverter",
    "pyscipopt",
    "pandas",
    "river",
)
"""Packages whose versions a figure can depend on. Those that are not installed are left out."""


class Comparison(Struct, frozen=True, kw_only=True):
    """One figure of ours, and the same figure of a reference from the same run where there is one.

    `ratio` is ours over the reference's. Without a reference both are None, and `reference_label` says why, or nothing.
    `better` says which ratio, or which figure, is good.
    """

    what: str
    ours_label: str
    ours: float
    reference_label: str
    reference: float | None
    unit: str
    ratio: float | None
    better: str
    note: str = ""


class Report(Struct, frozen=True, kw_only=True):
    """A whole run: machine, versions and every figure. `kafka` is empty for a run without Kafka."""

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
    """A `Comparison` with its ratio; None where the reference's figure is 0.

    Parameters
    ----------
    what : what is measured.
    ours_label, reference_label : who is measured.
    ours, reference : the figures, in `unit`.
    better : which ratio is good, for readers.
    note : how it was measured.
    """
    return Comparison(
        what=what,
        ours_label=ours_label,
        ours=ours,
        reference_label=reference_label,
        reference=reference,
        unit=unit,
        ratio=ours / reference if reference else None,
        better=better,
        note=note,
    )


def measure(
    what: str, ours_label: str, ours: float, unit: str, better: str, note: str = "", reference_label: str = ""
) -> Comparison:
    """A `Comparison` without the figure of a reference.

    Parameters
    ----------
    what, ours_label, ours, unit, note : as for `compare`.
    better : which figure is asked for.
    reference_label : why there is no reference, where that needs saying.
    """
    return Comparison(
        what=what,
        ours_label=ours_label,
        ours=ours,
        reference_label=reference_label,
        reference=None,
        unit=unit,
        ratio=None,
        better=better,
        note=note,
    )


def report(kafka: str, comparisons: Sequence[Comparison]) -> Report:
    """The report of a run on this machine."""
    return Report(
        machine=machine(),
        python=platform.python_version(),
        packages=_versions(),
        kafka=kafka,
        comparisons=tuple(comparisons),
    )


def machine() -> str:
    """Processor, cores and memory, as far as the system says."""
    name, memory = platform.processor() or platform.machine(), ""
    cpuinfo, meminfo = Path("/proc/cpuinfo"), Path("/proc/meminfo")
    if cpuinfo.exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = f"{models[0]}, {len(models)} cores" if models else name
    if meminfo.exists():
        memory = f", {int(meminfo.read_text().split()[1]) / 2**20:.0f} GiB"
    return f"{name}{memory}, {platform.system()}"


def markdown(run: Report) -> str:
    """The figures as a Markdown table with notes."""
    measured_with = [run.machine, f"Python {run.python}", *([run.kafka] if run.kafka else [])]
    head = [
        f"Measured on: {'; '.join(measured_with)}.",
        "",
        "| what | ours | reference | ratio | good is |",
        "|---|---|---|---|---|",
    ]
    rows = [
        f"| {row.what} | {_labelled(row.ours_label, row.ours, row.unit)} "
        f"| {_labelled(row.reference_label, row.reference, row.unit)} | {_ratio(row)} | {row.better} |"
        for row in run.comparisons
    ]
    notes = [f"- {row.what}: {row.note}" for row in run.comparisons if row.note]
    return "\n".join([*head, *rows, "", *notes, ""])


def _versions() -> dict[str, str]:
    found = {}
    for name in NAMED_PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _labelled(label: str, value: float | None, unit: str) -> str:
    return label if value is None else f"{label}: {_figure(value)} {unit}".rstrip()


def _ratio(row: Comparison) -> str:
    if row.ratio is None:
        return ""
    lost = row.ratio > 1.0 if row.better == "below 1" else row.better == "at least 1" and row.ratio < 1.0
    return f"{row.ratio:.3g}" + (", the reference is better" if lost else "")


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
