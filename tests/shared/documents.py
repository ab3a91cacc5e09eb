"""The documents and the commands that they show, for the tests that hold them to what there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Literal, TypeAlias

from stream.cli.main import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)

#: `run`: tests/test_documents.py runs it; `service`: tests/integration/test_documents.py runs it, on Apache Kafka;
#: `parsed`: it takes minutes, or another test runs it; its arguments are held against what the program accepts.
How: TypeAlias = Literal["run", "service", "parsed"]

COMMANDS: dict[str, How] = {
    "betapack bench --data FOLDER": "parsed",
    "betapack bench gate --data FOLDER": "parsed",
    "betapack bench hedging": "parsed",
    "betapack bench models": "parsed",
    "betapack bench models --data FOLDER": "parsed",
    "betapack bench packing --data FOLDER": "parsed",
    "betapack bench packing --quick --output bench.json": "parsed",
    "betapack bench stream": "parsed",
    "betapack bench validation --data FOLDER": "parsed",
    "betapack broker --port 9092 --data ./kafka-data": "parsed",
    "betapack check --config desk.toml": "run",
    'betapack confirm --book spot-london --reason "compared with the ledger" --config desk.toml': "service",
    "betapack confirm --book spot-london --position EUR=9e6 --position CHF=-4e6 "
    '--reason "from the ledger" --config desk.toml': "service",
    "betapack desk": "parsed",
    "betapack desk --data FOLDER --seeds 12 --days 10": "parsed",
    "betapack desk --seeds 2 --days 1": "parsed",
    "betapack forget --record 'ticks[2]@417' --reason 'a hundred times the market' --config desk.toml": "parsed",
    "betapack forget --instrument EURUSD --from 2025-06-02T08:00:00Z --to 2025-06-02T08:00:02.5Z "
    "--reason 'test quotes' --config desk.toml": "parsed",
    "betapack frontier --book franc --output frontier.html": "service",
    "betapack frontier --book franc --points 20": "service",
    "betapack serve --config desk.toml --bootstrap kafka-1:9092": "service",
    "betapack serve --config desk.toml --rebuild": "parsed",
    "betapack topics --config desk.toml --create": "service",
    "betapack validate prices.csv.gz --config desk.toml --output report.html --json figures.json": "parsed",
    "betapack warm": "parsed",
    "betapack what-if --book franc --trade EUR=5e6": "service",
    "betapack what-if --book franc --trade EUR=5e6 --lots EURUSD=-3": "service",
    "curl http://127.0.0.1:9464/metrics": "service",
    "curl 'http://127.0.0.1:9464/what-if?book=franc&EUR=5e6&instrument=EURUSD&lots=-3'": "service",
    "curl 'http://127.0.0.1:9464/frontier?book=franc&points=20'": "service",
    'echo \'{"book": "franc", "asset": "EUR", "quantity": 9e7}\' | '
    'kcat -b 127.0.0.1:PORT -t positions -k \'["franc","EUR"]\' -P': "parsed",
    "kcat -b 127.0.0.1:PORT -t residual-exposure -C -o end": "parsed",
    "make bench": "parsed",
    "make bench SUBJECT=packing": "parsed",
    "make chaos": "parsed",
    "make check": "parsed",
    "make demo": "parsed",
    "make lint": "parsed",
    "make test": "parsed",
    "pip install '.[local]'": "parsed",
    "pip install '.[report]'": "parsed",
    "pip install .": "parsed",
    "python -m pytest tests/stream/test_errors.py": "run",
}


def commands_in(text: str) -> list[str]:
    """Every line of the blocks of shell commands, the interpreter or program of .venv under its plain name."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [line.removeprefix(".venv/bin/") for block in blocks for line in block.splitlines()]


def commands_to(how: How) -> list[str]:
    return [command for command, chosen in COMMANDS.items() if chosen == how]


def arguments_of(command: str) -> list[str]:
    """The words after the program's name, as a shell hands them over."""
    return shlex.split(command)[1:]


def parse_betapack(command: str) -> None:
    """Raises what the command line raises for an argument that it does not take. Runs nothing."""
    app.parse_args(arguments_of(command), print_error=False, exit_on_error=False)
