"""The `betapack` command. Data goes to stdout, everything else to stderr.

The modules of the commands load numpy, numba and Kafka only inside the command that needs them, so help is instant.
"""

from __future__ import annotations

import sys
import traceback
from importlib.metadata import version as distribution_version

from cyclopts import App

from stream.cli.kernels import prepare_kernels
from stream.cli.question_commands import frontier, what_if
from stream.cli.service_commands import broker, check, confirm, forget, schema, serve, topics, warm
from stream.cli.study_commands import desk, validate
from stream.cli.terminal import EXIT_INTERNAL, EXIT_INTERRUPTED, say
from stream.cli.trial_commands import bench, demo
from stream.errors import BetapackError

app = App(
    name="betapack",
    help="Real-time hedging monitor: what is really unhedged in each book, what to trade, when a human must look.",
    version=lambda: f"betapack {distribution_version('betapack')}",
    help_flags=["--help"],
    version_flags=["--version"],
)
for command in (
    serve,
    check,
    topics,
    confirm,
    forget,
    broker,
    schema,
    warm,
    what_if,
    frontier,
    validate,
    desk,
    demo,
    bench,
):
    app.command(command)


def main() -> None:
    """Run the command that the arguments name, and exit with its code."""
    prepare_kernels()
    try:
        sys.exit(app())
    except BetapackError as exc:
        say(f"betapack: {exc}")
        sys.exit(exc.exit_code)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except Exception:
        # Nobody foresaw it: show where, and do not let it pass for a finding, which exits with 1.
        traceback.print_exc()
        sys.exit(EXIT_INTERNAL)
