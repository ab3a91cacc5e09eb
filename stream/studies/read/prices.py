"""Prices from a file or a folder of files, with every row that was left out counted.

Each row that remains has a price of every asset: a return that would span a hole of one asset only spans it for all, as
in the service, and nothing is filled in.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from solver.arrays import FloatArray, IntArray
from stream.config import NANOSECONDS
from stream.errors import DataUnavailable

#: What a file must end in; pandas unpacks the second by its name.
ENDINGS = (".csv", ".csv.gz")

#: Of a file of bars, one asset a file, this column is taken.
CLOSE = "close"

# A number in the place of a time counts from 1970 in a unit that its size gives away: seconds of today have ten digits.
_EPOCH_UNITS_NS = ((1e17, 1), (1e14, 1_000), (1e11, 1_000_000), (1e8, NANOSECONDS))


@dataclass(frozen=True)
class LeftOut:
    """Something of the file that was not used, how much of it, and why."""

    what: str
    count: int


@dataclass(frozen=True, eq=False)
class Prices:
    """Prices of all assets at common times.

    Attributes
    ----------
    names : (n,) of the assets, in the order of the file, or of the files' names.
    times_ns : (T,) nanoseconds since 1970, UTC, increasing.
    timesteps : (T,) each row's place on the grid of timesteps, from 0. Months differ in length: every row has its own.
    prices : (T, n), > 0.
    timestep_ns : the most frequent distance of two rows, which is taken for ΔT.
    gaps : rows more than one timestep after the one before: their return spans more than that.
    left_out : what of the input is not in here.
    sha256 : of the input, file by file.
    """

    names: tuple[str, ...]
    times_ns: IntArray
    timesteps: IntArray
    prices: FloatArray
    timestep_ns: int
    gaps: int
    left_out: tuple[LeftOut, ...]
    sha256: str


def read_prices(path: Path) -> Prices:
    """Read a CSV or CSV.gz whose first column is the time and every other one an asset, or a folder of such per asset.

    A file of a folder has one price column, or one named ``close``; its name before the first dot is the asset's.

    Raises
    ------
    DataUnavailable : it is not there or not CSV, a cell is not what it should be, or fewer than two assets or rows are
        left. The message names file, line and column.
    """
    files = _files(path)
    digest = hashlib.sha256()
    left_out: list[LeftOut] = []
    if path.is_dir():
        columns = [_asset_series(file, digest, left_out) for file in files]
        names = [series.name for series in columns]
        for name in names:
            if names.count(name) > 1:
                raise DataUnavailable(f"{path} must have one file an asset, got several named {name}")
        table = pd.concat(columns, axis=1, join="outer")
    else:
        table = _table(files[0], digest, left_out)
    return _aligned(path, table, left_out, digest.hexdigest())


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise DataUnavailable(f"{path} does not exist; name a CSV file, or a folder with one CSV file an asset")
    if not path.is_dir():
        if not path.name.endswith(ENDINGS):
            raise DataUnavailable(f"{path} must end in {' or '.join(ENDINGS)}, or be a folder of such files")
        return [path]
    files = sorted(file for file in path.iterdir() if file.name.endswith(ENDINGS))
    if len(files) < 2:
        raise DataUnavailable(f"{path} must hold at least two files {' or '.join(ENDINGS)}, got {len(files)}")
    return files


def _asset_series(file: Path, digest: hashlib._Hash, left_out: list[LeftOut]) -> pd.Series[float]:
    table = _table(file, digest, left_out, one_of_many=True)
    asset = file.name.split(".")[0]
    closes = [name for name in table.columns if str(name).strip().lower() == CLOSE]
    if len(closes) == 1:
        return table[closes[0]].rename(asset)
    if len(table.columns) != 1:
        found = ", ".join(map(str, table.columns))
        raise DataUnavailable(f"{file} must have one price column, or one named {CLOSE}, got {found}")
    return table.iloc[:, 0].rename(asset)


def _table(file: Path, digest: hashlib._Hash, left_out: list[LeftOut], one_of_many: bool = False) -> pd.DataFrame:
    """Prices by time, sorted, each time once; NaN where there is none."""
    try:
        digest.update(file.read_bytes())
        # The header is read as a line like the others: pandas would rename a name that comes twice.
        raw = pd.read_csv(file, header=None, dtype=str, keep_default_na=False, skip_blank_lines=False).fillna("")
    except OSError as exc:
        raise DataUnavailable(f"cannot read {file}: {exc.strerror or exc}") from exc
    except (UnicodeDecodeError, EOFError, zlib.error, pd.errors.ParserError, pd.errors.EmptyDataError) as exc:
        raise DataUnavailable(f"{file} is not a CSV file with a header: {exc}") from exc
    if raw.shape[1] < 2 or len(raw) < 2:
        raise DataUnavailable(
            f"{file} must have a header, and below it a time and at least one price a line; "
            f"got {len(raw)} lines of {raw.shape[1]} columns"
        )
    names = [str(name).strip() for name in raw.iloc[0]]
    for place, name in enumerate(names):
        if place and (not name or name in names[1:place]):
            raise DataUnavailable(f"{file}, line 1, column {place + 1}: expected a name of its own, got {name!r}")
    raw = raw.iloc[1:].set_axis(names, axis=1)
    raw.index = pd.RangeIndex(2, len(raw) + 2)
    where = f" in {file.name}" if one_of_many else ""
    blank = (raw == "").all(axis=1)
    if blank.any():
        left_out.append(LeftOut(f"blank lines{where}", int(blank.sum())))
        raw = raw[~blank]
    times = _times(file, raw.iloc[:, 0])
    table = pd.concat([_numbers(file, raw.iloc[:, i], left_out, where) for i in range(1, raw.shape[1])], axis=1)
    table.index = pd.Index(times)
    disorder = int((np.diff(times) < 0).sum())
    if disorder:
        left_out.append(LeftOut(f"lines out of order in time{where}: sorted, none lost", disorder))
        table = table.sort_index(kind="stable")
    twice = table.index.duplicated(keep="last")
    if twice.any():
        left_out.append(LeftOut(f"lines whose time a later line has too{where}: the last counts", int(twice.sum())))
        table = table[~twice]
    return table


def _times(file: Path, column: pd.Series[str]) -> IntArray:
    """Nanoseconds since 1970; a date without a time is its midnight, a time without a zone is UTC."""
    text = column.str.strip()
    numbers = pd.to_numeric(text, errors="coerce")
    # Eight digits are a date as 20150115, unless they count seconds of the year 1970.
    if numbers.notna().all() and not text.str.fullmatch(r"\d{8}").all():
        for least, unit_ns in _EPOCH_UNITS_NS:
            if (numbers >= least).all():
                return np.asarray((numbers * unit_ns).round().astype("int64") if unit_ns > 1 else text.astype("int64"))
    readings = [_dates(text, dayfirst) for dayfirst in (False, True)]
    # 3/4/2015 may be in March or in April; the right reading is the one that leaves fewer lines unread and in disorder.
    parsed = min(readings, key=lambda read: (read.isna().sum(), (read.dropna().astype("int64").diff() < 0).sum()))
    unread = parsed.isna()
    if unread.any():
        line = column.index[unread][0]
        raise DataUnavailable(
            f"{file}, line {line}, column {column.name}: expected a time or date as the other lines have, "
            f"got {column[line]!r}"
        )
    return np.asarray(parsed.dt.tz_localize(None).astype("datetime64[ns]").astype("int64"))


def _dates(text: pd.Series[str], dayfirst: bool) -> pd.Series[pd.Timestamp]:
    # `format` in place of a guess from the first line alone, where that would be ambiguous.
    slashed = text.str.match(r"\d{1,2}[/.]\d{1,2}[/.]\d{4}").any()
    if slashed:
        separator = "/" if text.str.contains("/").any() else "."
        order = ("%d", "%m") if dayfirst else ("%m", "%d")
        clock = " %H:%M:%S" if text.str.count(":").max() == 2 else " %H:%M" if text.str.contains(":").any() else ""
        form = separator.join([*order, "%Y"]) + clock
        return pd.to_datetime(text, format=form, errors="coerce", utc=True)
    return pd.to_datetime(
        text, format="%Y%m%d" if text.str.fullmatch(r"\d{8}").all() else "ISO8601", errors="coerce", utc=True
    )


def _numbers(file: Path, column: pd.Series[str], left_out: list[LeftOut], where: str) -> pd.Series[float]:
    text = column.str.strip()
    missing = text.str.lower().isin(["", "na", "nan", "null", "none", "n/a", "-", "#n/a"])
    numbers = pd.to_numeric(text.where(~missing), errors="coerce").astype("float64")
    wrong = numbers.isna() & ~missing
    if wrong.any():
        line = column.index[wrong][0]
        raise DataUnavailable(
            f"{file}, line {line}, column {column.name}: expected a price or an empty cell, got {column[line]!r}"
        )
    not_positive = numbers.notna() & ~((numbers > 0.0) & np.isfinite(numbers))
    if not_positive.any():
        left_out.append(
            LeftOut(f"prices of {column.name}{where} that are not > 0: taken as missing", int(not_positive.sum()))
        )
        numbers = numbers.where(~not_positive)
    return numbers


def _aligned(path: Path, table: pd.DataFrame, left_out: list[LeftOut], sha256: str) -> Prices:
    for name in table.columns:
        found = table[name].dropna()
        if found.nunique() <= 1:
            why = "no price" if found.empty else "one price only, which has no risk to forecast"
            left_out.append(LeftOut(f"asset {name}, with {why}", 1))
            table = table.drop(columns=name)
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
        table = table[complete]
    if len(table) < 3:
        raise DataUnavailable(
            f"{path} must have at least 3 times at which every asset has a price, got {len(table)} "
            f"({'; '.join(f'{entry.what}: {entry.count:,}' for entry in left_out)})"
        )
    times = table.index.to_numpy(dtype=np.int64)
    distances, counts = np.unique(np.diff(times), return_counts=True)
    timestep_ns = int(distances[np.argmax(counts)])
    steps = np.maximum(np.rint(np.diff(times) / timestep_ns).astype(np.int64), 1)
    return Prices(
        names=tuple(str(name) for name in table.columns),
        times_ns=times,
        timesteps=np.concatenate([[0], np.cumsum(steps)]),
        prices=table.to_numpy(dtype=np.float64),
        timestep_ns=timestep_ns,
        gaps=int((steps > 1).sum()),
        left_out=tuple(left_out),
        sha256=sha256,
    )
