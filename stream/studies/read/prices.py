"""Prices from a file or a folder of files, with every row that was left out counted, and what was taken for what.

Each row that remains has a price of every asset. So a return that spans a hole of one asset spans it for all assets, as
in the service, and nothing is filled in.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from solver.arrays import FloatArray, IntArray
from stream.errors import DataUnavailable
from stream.studies.read.csv_file import ENDINGS, CsvFile, read_csv
from stream.studies.read.daily import as_dates, is_daily
from stream.studies.read.exports import CLOSE, NOT_ASSETS, PRICE_NAMES, TIME_NAMES, plain_name
from stream.studies.read.options import NOTHING_SAID, ReadOptions
from stream.studies.read.plausibility import Finding, exchanged_prices, odd_prices, odd_times
from stream.studies.read.reading import Reading, spoken
from stream.studies.read.times import shown

# Prices may be negative now and then, as those of oil once. A column in which more are is one of returns or positions.
_MOST_NEGATIVE = 0.05


@dataclass(frozen=True)
class LeftOut:
    """What of the input was not used, how often, and why."""

    what: str
    count: int


@dataclass(frozen=True, eq=False)
class Prices:
    """Prices of all assets at common times.

    Attributes
    ----------
    names : (n,) of the assets, in the order of the file, of the files' names, or as asked.
    times_ns : (T,) nanoseconds since 1970, UTC, increasing. A date is its midnight.
    timesteps : (T,) index of each row on the grid of timesteps, from 0. Rows may lie several timesteps apart.
    prices : (T, n), > 0.
    timestep_ns : the most frequent distance of two rows, which is taken for ΔT.
    gaps : how many rows lie more than one timestep after the row before; their return spans the gap.
    left_out : what of the input is not in here.
    sha256 : of the input, file by file.
    readings : what each file was taken for.
    findings : what is hardly right of these prices, though it could be read.
    """

    names: tuple[str, ...]
    times_ns: IntArray
    timesteps: IntArray
    prices: FloatArray
    timestep_ns: int
    gaps: int
    left_out: tuple[LeftOut, ...]
    sha256: str
    readings: tuple[Reading, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass
class _Said:
    """What is to be said of the files that were read so far."""

    options: ReadOptions
    now_ns: int
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    left_out: list[LeftOut] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _FileOfPrices:
    """The prices of one file by time in ns, and what its times are."""

    path: Path
    table: pd.DataFrame
    dates: bool
    daily: bool
    named_zone: bool


def read_prices(
    path: Path,
    assets: Sequence[str] | None = None,
    options: ReadOptions = NOTHING_SAID,
    now_ns: int | None = None,
) -> Prices:
    """Read a CSV or CSV.gz file with a time and one column per asset, or a folder with one such file per asset.

    A file of a folder has one price column, or one that is named as a price: ``close`` before others. Its name before
    the first dot is the asset's.

    Parameters
    ----------
    path : the file or the folder.
    assets : read only these, in this order; by default all that are there.
    options : what the files leave open.
    now_ns : today, beyond which no time can lie; by default that of the machine's clock.

    Raises
    ------
    DataUnavailable : nothing is there, it is not CSV, a cell is not what it should be or may be several things, one of
        `assets` has no prices, or fewer than two assets or three rows are left. The message names file, line and
        column, or the option that settles it.
    ConfigError : an option that cannot be.
    """
    said = _Said(options, time.time_ns() if now_ns is None else now_ns)
    if path.is_dir():
        files = [_asset_file(file, said) for file in _files(path, assets, said)]
        _check_joinable(files)
        names = [str(file.table.columns[0]) for file in files]
        for name in names:
            if [other.casefold() for other in names].count(name.casefold()) > 1:
                raise DataUnavailable(f"{path} must have one file an asset, got several named {name}")
        table = pd.concat([file.table for file in files], axis=1, join="outer").sort_index()
    else:
        table = _table_file(_file(path), said, assets)
    if assets is not None:
        _check_all_there(path, assets, table.columns)
        table = table[list(assets)]
    prices = _aligned(path, table, said)
    if assets is not None:
        _check_all_there(path, assets, prices.names)
    return prices


def account(prices: Prices) -> list[str]:
    """What is to be told of prices that were read: what each file was taken for, what was left out, what is odd."""
    return [
        *spoken(prices.readings),
        *(f"left out: {entry.what}: {entry.count:,}" for entry in prices.left_out),
        *(f"finding: {finding.text}" for finding in prices.findings),
    ]


def _check_all_there(path: Path, assets: Sequence[str], found: Iterable[str]) -> None:
    missing = ", ".join(asset for asset in assets if asset not in set(found))
    if missing:
        raise DataUnavailable(f"{path} must have prices of {', '.join(assets)} that move, got none of {missing}")


def _is_csv(path: Path) -> bool:
    return path.name.lower().endswith(ENDINGS)


def _file(path: Path) -> Path:
    if not path.exists():
        raise DataUnavailable(f"{path} does not exist; name a CSV file, or a folder with one CSV file an asset")
    if not _is_csv(path):
        raise DataUnavailable(
            f"{path} must end in {', '.join(ENDINGS)}, or be a folder of such files; save a workbook's sheet as CSV"
        )
    return path


def _files(folder: Path, assets: Sequence[str] | None, said: _Said) -> list[Path]:
    every = sorted(folder.iterdir())
    files = [file for file in every if file.is_file() and _is_csv(file) and not file.name.startswith(".")]
    others = [file.name for file in every if file not in files]
    if others:
        examples = ", ".join(others[:5]) + ", …" * (len(others) > 5)
        said.left_out.append(
            LeftOut(f"entries of the folder that are no CSV files, passed over: {examples}", len(others))
        )
    if assets is not None:
        files = [file for file in files if _asset_of(file) in assets]
    if len(files) < 2:
        wanted = f" of {', '.join(assets)}" if assets is not None else ""
        raise DataUnavailable(f"{folder} must hold at least two files {' or '.join(ENDINGS)}{wanted}, got {len(files)}")
    return files


def _asset_of(file: Path) -> str:
    return file.name.split(".")[0]


def _asset_file(path: Path, said: _Said) -> _FileOfPrices:
    """The prices of a folder's file, all of one asset."""
    file = read_csv(path, said.digest, said.options)
    index = _price_index(file, said.options)
    return _by_time(file, [index], [_asset_of(path)], said, f" in {path.name}")


def _table_file(path: Path, said: _Said, assets: Sequence[str] | None) -> pd.DataFrame:
    """The prices of a file with one column an asset."""
    file = read_csv(path, said.digest, said.options)
    indices = _asset_indices(file, said.options)
    if assets is not None:
        indices = [index for index in indices if file.layout.names[index] in assets]
    return _by_time(file, indices, [file.layout.names[index] for index in indices], said, "").table


def _asset_indices(file: CsvFile, options: ReadOptions) -> list[int]:
    """The columns of prices in a file of several assets."""
    layout = file.layout
    if layout.fields is not None:
        chosen = _price_field(file, sorted({layout.fields[index] for index in file.others}), options)
        return [index for index in file.others if layout.fields[index] == chosen]
    if options.price_column is not None:
        raise DataUnavailable(
            f"{file.path} has one column an asset, of which --price-column cannot choose one; it is for files of one "
            "asset, and for those with a line of fields"
        )
    plain = {index: plain_name(layout.names[index]) for index in file.others}
    if {"high", "low"} <= set(plain.values()):
        raise DataUnavailable(
            f"{file.path} looks like the bars of one asset, with the columns {', '.join(file.names)}; put one "
            "such file for each asset into a folder, and name the folder"
        )
    return [index for index in file.others if plain[index] not in NOT_ASSETS and plain[index] not in TIME_NAMES]


def _price_index(file: CsvFile, options: ReadOptions) -> int:
    """The one column of prices in a file of one asset."""
    layout = file.layout
    if layout.fields is not None:
        chosen = _price_field(file, [layout.fields[index] for index in file.others], options)
        found = [index for index in file.others if layout.fields[index] == chosen]
        if len(found) > 1:
            assets = ", ".join(layout.names[index] for index in found)
            raise DataUnavailable(f"{file.path} must have prices of one asset, got {chosen} of {assets}")
        return found[0]
    names = file.names
    return file.others[names.index(_price_field(file, names, options))]


def _price_field(file: CsvFile, names: list[str], options: ReadOptions) -> str:
    """Which of several columns, or fields of a line of fields, is the price."""
    if options.price_column is not None:
        found = [name for name in names if plain_name(name) == plain_name(options.price_column)]
        if len(found) != 1:
            raise DataUnavailable(
                f"{file.path} must have one column {options.price_column!r} for --price-column, got {', '.join(names)}"
            )
        return found[0]
    if len(names) == 1:
        return names[0]
    for wanted in ({CLOSE}, PRICE_NAMES):
        found = [name for name in names if plain_name(name) in wanted]
        if len(found) == 1:
            return found[0]
    raise DataUnavailable(
        f"{file.path} must have one price column, or one named {CLOSE}, got {', '.join(names)}; say which with "
        "--price-column"
    )


def _by_time(file: CsvFile, indices: list[int], names: list[str], said: _Said, where: str) -> _FileOfPrices:
    """Prices by time in ns, sorted, each time once; NaN where there is none."""
    if file.layout.blank_lines:
        said.left_out.append(LeftOut(f"blank lines{where}", file.layout.blank_lines))
    times = file.times()
    dates = as_dates(times, said.options.zone)
    ns, zone = dates if dates is not None else (times.ns, times.zone)
    numbers = file.numbers(indices)
    labels = file.labels(indices)
    said.readings.append(file.reading(times, ns, zone, labels, numbers))
    said.findings += odd_times(file.path.name, ns, file.lines, said.now_ns)
    columns = {
        name: _positive(file, name, numbers.columns[label], said.left_out, where)
        for name, label in zip(names, labels, strict=True)
    }
    table = pd.DataFrame(columns, index=pd.Index(ns))
    if len(ns) > 1 and (np.diff(ns) <= 0).all():
        # The reading says that the newest comes first. What comes later in the file is then earlier.
        table = table.iloc[::-1]
    disorder = int((np.diff(table.index) < 0).sum())
    if disorder:
        said.left_out.append(LeftOut(f"lines out of order in time{where}: sorted, none lost", disorder))
        table = table.sort_index(kind="stable")
    table = _each_time_once(file, table, said, where)
    return _FileOfPrices(file.path, table, dates is not None, is_daily(ns), times.named_zone)


def _each_time_once(file: CsvFile, table: pd.DataFrame, said: _Said, where: str) -> pd.DataFrame:
    again = table.index.duplicated(keep="last")
    if not again.any():
        return table
    said.left_out.append(LeftOut(f"lines whose time a later line has too{where}: the last counts", int(again.sum())))
    others = table[table.index.duplicated(keep=False)]
    differing = others.groupby(level=0).nunique(dropna=False).gt(1).any(axis=1)
    if differing.any():
        first = shown(int(differing.index[differing][0]))
        text = f"{file.path.name}: {int(differing.sum()):,} times come with more than one price, the first is {first}"
        said.findings.append(Finding(kind="repeated", asset=file.path.name, time=first, factor=None, text=text))
    return table[~again]


def _positive(file: CsvFile, name: str, numbers: FloatArray, left_out: list[LeftOut], where: str) -> FloatArray:
    """The prices, with those that are not > 0 taken as missing."""
    negative = int((numbers < 0.0).sum())
    if negative > max(2, _MOST_NEGATIVE * np.isfinite(numbers).sum()):
        line = file.lines[int(np.flatnonzero(numbers < 0.0)[0])]
        raise DataUnavailable(
            f"{file.path}, line {line}, column {name}: {negative:,} numbers are below 0, as of returns or positions; "
            "expected prices"
        )
    not_positive = numbers <= 0.0
    if not_positive.any():
        left_out.append(LeftOut(f"prices of {name}{where} that are not > 0: taken as missing", int(not_positive.sum())))
    return np.where(not_positive, np.nan, numbers)


def _check_joinable(files: list[_FileOfPrices]) -> None:
    """Refuse to join times that would meet only by accident."""
    daily = [file for file in files if file.daily]
    dated, moments = ([file for file in daily if file.dates is dates] for dates in (True, False))
    if dated and moments:
        raise DataUnavailable(
            f"{moments[0].path} has daily times as {shown(int(moments[0].table.index[0]))} UTC, and "
            f"{dated[0].path.name} has dates; say on which clock the day is one with --zone, as --zone America/New_York"
        )
    intraday = [file for file in files if not file.daily]
    named, unnamed = ([file for file in intraday if file.named_zone is known] for known in (True, False))
    if named and unnamed:
        raise DataUnavailable(
            f"{unnamed[0].path} has times without a zone, and those of {named[0].path.name} have one; "
            "name the zone with --zone"
        )


def _aligned(path: Path, table: pd.DataFrame, said: _Said) -> Prices:
    left_out = said.left_out
    for name in table.columns:
        found = table[name].dropna()
        if found.nunique() <= 1:
            why = "no price" if found.empty else "one price only, which has no risk to forecast"
            left_out.append(LeftOut(f"asset {name}, with {why}", 1))
            table = table.drop(columns=name)
        else:
            said.findings += odd_prices(str(name), found.index.to_numpy(), found.to_numpy())
    if len(table.columns) < 2:
        raise DataUnavailable(f"{path} must have at least two assets whose prices move, got {len(table.columns)}")
    complete = table.notna().all(axis=1)
    if not complete.all():
        gaps = table.isna().sum()
        left_out.append(
            LeftOut(
                f"times at which an asset has no price (most often {gaps.idxmax()}, {gaps.max():,} times)",
                int((~complete).sum()),
            )
        )
        said.findings += _hardly_joined(path, table, complete)
        table = table[complete]
    if len(table) < 3:
        raise DataUnavailable(
            f"{path} must have at least 3 times at which every asset has a price, got {len(table)} "
            f"({'; '.join(f'{entry.what}: {entry.count:,}' for entry in left_out)})"
        )
    times = table.index.to_numpy(dtype=np.int64)
    names = tuple(str(name) for name in table.columns)
    said.findings += exchanged_prices(names, times, table.to_numpy(dtype=np.float64))
    distances, counts = np.unique(np.diff(times), return_counts=True)
    timestep_ns = int(distances[np.argmax(counts)])
    steps = np.maximum(np.rint(np.diff(times) / timestep_ns).astype(np.int64), 1)
    return Prices(
        names=names,
        times_ns=times,
        timesteps=np.concatenate([[0], np.cumsum(steps)]),
        prices=table.to_numpy(dtype=np.float64),
        timestep_ns=timestep_ns,
        gaps=int((steps > 1).sum()),
        left_out=tuple(left_out),
        sha256=said.digest.hexdigest(),
        readings=tuple(said.readings),
        findings=tuple(said.findings),
    )


def _hardly_joined(path: Path, table: pd.DataFrame, complete: pd.Series[bool]) -> list[Finding]:
    """A finding where less than half of the times between the first and the last common ones are common."""
    first = max(table[name].first_valid_index() for name in table.columns)
    last = min(table[name].last_valid_index() for name in table.columns)
    within = complete[(complete.index >= first) & (complete.index <= last)]
    if 2 * within.sum() >= len(within):
        return []
    text = (
        f"{path.name}: of {len(within):,} times from {shown(first)} to {shown(last)} only {int(within.sum()):,} have a "
        "price of every asset; the assets may have other timesteps, or their times other zones"
    )
    return [Finding(kind="joined", asset=path.name, time=shown(first), factor=None, text=text)]
