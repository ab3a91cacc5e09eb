"""Commands that run over files of prices, without Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from stream.cli.options import FILES_AS_THEY_ARE, PriceFileOptions, loaded_config, positive
from stream.cli.terminal import EXIT_DONE, EXIT_FINDING, EXIT_INTERRUPTED, say, stop_on_signals


def desk(
    *,
    seeds: Annotated[int, Parameter(help="Runs, each with its own clients and prices.", validator=positive)] = 20,
    days: Annotated[float, Parameter(help="Length of a run.", validator=positive)] = 5.0,
    data: Annotated[
        Path | None, Parameter(help="Folder with fx_h1: real hourly prices in place of simulated ones.")
    ] = None,
    json: Annotated[bool, Parameter(help="Print every outcome as JSON in place of the table.")] = False,
    files: PriceFileOptions = FILES_AS_THEY_ARE,
) -> int:
    """Compare ways to hedge on a simulated desk, at equal average risk, in a Markdown table.

    Clients, their answer to quotes and fills are simulated and seeded; the suggestions are those of the service.

    Example: ``betapack desk --seeds 4 --days 2``
    """
    from stream.studies.desk.command import desk_command
    from stream.studies.desk.run import DeskSettings

    desk_command(DeskSettings(seeds, days, data, files.settled()), json, say)
    return EXIT_DONE


def validate(
    data: Annotated[
        Path,
        Parameter(
            help="CSV file (also .gz) with a column of times and one column for each asset, or a folder of files."
        ),
    ],
    /,
    *,
    config: Annotated[
        Path | None, Parameter(name="--config", help="TOML file whose covariance and reversion are validated.")
    ] = None,
    horizon: Annotated[
        int, Parameter(help="Rows that an outcome spans, as `risk.horizon_steps`.", validator=positive)
    ] = 1,
    output: Annotated[Path, Parameter(help="HTML file for the report.")] = Path("report.html"),
    json: Annotated[Path | None, Parameter(help="File for the figures.")] = None,
    seed: Annotated[int, Parameter(help="Seed of random portfolios, shuffles and intervals.")] = 7,
    confirm_prices: Annotated[
        bool,
        Parameter(negative="", help="The prices are right: judge the models in spite of findings about the prices."),
    ] = False,
    files: PriceFileOptions = FILES_AS_THEY_ARE,
) -> int:
    """Walk the models forward over a price file and hold every forecast against what followed.

    Is the risk as forecast, and do the β vectors hold on data they have not seen, more often than on shuffled prices?
    Exits with 1 when something does not hold, or when prices are probably wrong. It prints how it read the file. Where
    the file leaves something open, it ends with an error that names the option.

    Example: ``betapack validate prices.csv.gz --config desk.toml --output report.html``
    """
    from stream.studies.validate.command import validate_command

    loaded = loaded_config(config) if config else None
    options = files.settled()
    found = validate_command(data, options, loaded, horizon, seed, confirm_prices, output, json, say, stop_on_signals())
    return EXIT_INTERRUPTED if found.partial else EXIT_FINDING if found.found else EXIT_DONE
