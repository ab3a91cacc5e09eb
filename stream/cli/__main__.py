"""``python -m stream.cli`` is the `betapack` command."""

from stream.cli.main import main

main()
