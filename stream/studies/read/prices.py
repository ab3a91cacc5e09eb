"""Prices from a file or a folder of files, with every row that was left out counted.

Each row that remains has a price of every asset. So a return that spans a hole of one asset spans it for all assets, as
in the service, and nothing is filled in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from solver.arrays import FloatArray, IntArray
from stream.errors import DataUnavailable
from stream.studies.read.csv_file import ENDINGS, CsvFile, read_csv

#: A file of bars holds one asset; this column of it is its price.
CLOSE = "close"


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
    times_ns : (T,) nanoseconds since 1970, UTC, increasing.
    timesteps : (T,) index of each row on the grid of timesteps, from 0. Rows may lie several timesteps apart.
    prices : (T, n), > 0.
    timestep_ns : the most frequent distance of two rows, which is taken for ΔT.
    gaps : how many rows lie more than one timestep after the row before; their return spans the gap.
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


def read_prices(path: Path, assets: Sequence[str] | None = None) -> Prices:
    """Read a CSV or CSV.gz file with a time and one column per asset, or a folder with one such file per asset.

    A file of a folder has one price column, or one named ``close``. Its name before the first dot is the asset's.

    Parameters
    ----------
    path : the file or the folder.
    assets : read only these, in this order; by default all that are there.

    Raises
    ------
    DataUnavailable : nothing is there, it is not CSV, a cell is not what it should be, one of `assets` has no prices,
        or fewer than two assets or three rows are left. The message names file, line and column.
    """
    digest = hashlib.sha256()
    left_out: list[LeftOut] = []
    if path.is_dir():
        columns = [_asset_series(file, digest, left_out) for file in _files(path, assets)]
        names = [series.name for series in columns]
        for name in names:
            if names.count(name) > 1:
                raise DataUnavailable(f"{path} must have one file an asset, got several named {name}")
        table = pd.concat(columns, axis=1, join="outer")
    else:
        table = _price_table(read_csv(_file(path), digest), left_out, assets=assets)
    if assets is not None:
        _check_all_there(path, assets, table.columns)
        table = table[list(assets)]
    prices = _aligned(path, table, left_out, digest.hexdigest())
    if assets is not None:
        _check_all_there(path, assets, prices.names)
    return prices


def _check_all_there(path: Path, assets: Sequence[str], found: Iterable[str]) -> None:
    missing = ", ".join(asset for asset in assets if asset not in set(found))
    if missing:
        raise DataUnavailable(f"{path} must have prices of {', '.join(assets)} that move, got none of {missing}")


def _file(path: Path) -> Path:
    if not path.exists():
        raise DataUnavailable(f"{path} does not exist; name a CSV file, or a folder with one CSV file an asset")
    if not path.name.endswith(ENDINGS):
        raise DataUnavailable(f"{path} must end in {' or '.join(ENDINGS)}, or be a folder of such files")
    return path


def _files(folder: Path, assets: Sequence[str] | None) -> list[Path]:
    files = sorted(file for file in folder.iterdir() if file.name.endswith(ENDINGS))
    if assets is not None:
        files = [file for file in files if _asset_of(file) in assets]
    if len(files) < 2:
        wanted = f" of {', '.join(assets)}" if assets is not None else ""
        raise DataUnavailable(f"{folder} must hold at least two files {' or '.join(ENDINGS)}{wanted}, got {len(files)}")
    return files


def _asset_of(file: Path) -> str:
    return file.name.split(".")[0]


def _asset_series(file: Path, digest: hashlib._Hash, left_out: list[LeftOut]) -> pd.Series[float]:
    table = _price_table(read_csv(file, digest), left_out, where=f" in {file.name}")
    closes = [name for name in table.columns if str(name).strip().lower() == CLOSE]
    if len(closes) == 1:
        return table[closes[0]].rename(_asset_of(file))
    if len(table.columns) != 1:
        found = ", ".join(map(str, table.columns))
        raise DataUnavailable(f"{file} must have one price column, or one named {CLOSE}, got {found}")
    return table.iloc[:, 0].rename(_asset_of(file))


def _price_table(
    file: CsvFile, left_out: list[LeftOut], where: str = "", assets: Sequence[str] | None = None
) -> pd.DataFrame:
    """Prices by time in ns, sorted, each time once; NaN where there is none. Only of `assets` where they are given."""
    if file.blank_lines:
        left_out.append(LeftOut(f"blank lines{where}", file.blank_lines))
    times = file.times_ns()
    columns = [
        _positive(file.numbers(column), left_out, where)
        for column, name in enumerate(file.names)
        if assets is None or name in assets
    ]
    table = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=file.cells.index)
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


def _positive(numbers: pd.Series[float], left_out: list[LeftOut], where: str) -> pd.Series[float]:
    """The prices, with those that are not > 0 and finite taken as missing."""
    not_positive = numbers.notna() & ~((numbers > 0.0) & np.isfinite(numbers))
    if not_positive.any():
        left_out.append(
            LeftOut(f"prices of {numbers.name}{where} that are not > 0: taken as missing", int(not_positive.sum()))
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
