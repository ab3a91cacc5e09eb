"""The command: validate, write the report and the figures, print the table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from stream.config import Config, CovarianceConfig, ReversionConfig
from stream.errors import ConfigError
from stream.studies.read.options import ReadOptions
from stream.studies.read.prices import account, read_prices
from stream.studies.report.plot_style import require_matplotlib
from stream.studies.validate.findings import Validation
from stream.studies.validate.report import write_report
from stream.studies.validate.run import ValidateSettings, validate
from stream.studies.validate.tables import text
from stream.studies.validate.walk import Models


def validate_command(
    data: Path,
    options: ReadOptions,
    config: Config | None,
    horizon_steps: int,
    seed: int,
    confirmed: bool,
    output: Path,
    json: Path | None,
    say: Callable[[str], None],
    stop: Callable[[], bool],
) -> Validation:
    """What the validation found; its table is printed.

    Parameters
    ----------
    data : a file of prices, or a folder with one per asset.
    options : what the prices' files leave open.
    config : its covariance and reversion are validated; None takes the service's defaults.
    horizon_steps : rows that an outcome spans, >= 1.
    seed : of random portfolios, shuffles and intervals, >= 0.
    confirmed : that prices with findings of the reader are right.
    output : HTML file for the report.
    json : file for the figures; None writes none.
    say : takes each line of progress.
    stop : says whether to end early and report what was walked until then.

    Raises
    ------
    ConfigError : a setting that cannot be used, matplotlib is missing, or a file cannot be written.
    DataUnavailable : no prices, or prices that can be read in several ways.
    """
    require_matplotlib()  # here already: the walk takes minutes
    for path in (output, json):
        if path is not None and not path.absolute().parent.is_dir():
            raise ConfigError(f"cannot write {path}: there is no folder {path.absolute().parent}")
    models = Models(config.covariance, config.reversion) if config else Models(CovarianceConfig(), ReversionConfig())
    prices = read_prices(data, options=options)
    for line in account(prices):
        say(line)
    run = validate(prices, data.name, ValidateSettings(models, horizon_steps, seed, confirmed), say, stop)
    write_report(run, output)
    say(f"wrote {output}")
    if json is not None:
        try:
            json.write_bytes(msgspec.json.format(msgspec.json.encode(run.validation), indent=2) + b"\n")
        except OSError as exc:
            raise ConfigError(f"cannot write the figures {json}: {exc.strerror}; name another --json") from exc
        say(f"wrote {json}")
    print(text(run.validation))
    return run.validation
