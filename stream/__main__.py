"""``python -m stream`` is the `betapack` command."""

from stream.cli import main

main()
