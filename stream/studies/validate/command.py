"""The command: validate, write the report and the figures, print the table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from stream.config import Config, CovarianceConfig, ReversionConfig
from stream.errors import ConfigError
from stream.studies.read.prices import read_prices
from stream.studies.report.plot_style import require_matplotlib
from stream.studies.validate.findings import Validation
from stream.studies.validate.report import write_report
from stream.studies.validate.run import ValidateSettings, validate
from stream.studies.validate.tables import text
from stream.studies.validate.walk import Models


def run_validate(
    data: Path,
    config: Config | None,
    horizon_steps: int,
    seed: int,
    output: Path,
    json: Path | None,
    say: Callable[[str], None],
    stop: Callable[[], bool],
) -> Validation:
    """What was found; its table is printed. Without a `config` the service's defaults are validated.

    Raises
    ------
    ConfigError : a setting that cannot be used, matplotlib is missing, or a file cannot be written.
    DataUnavailable : no prices.
    """
    require_matplotlib()  # before the walk, which takes minutes
    for path in (output, json):
        if path is not None and not path.absolute().parent.is_dir():
            raise ConfigError(f"cannot write {path}: there is no folder {path.absolute().parent}")
    models = Models(config.covariance, config.reversion) if config else Models(CovarianceConfig(), ReversionConfig())
    run = validate(read_prices(data), data.name, ValidateSettings(models, horizon_steps, seed), say, stop)
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
