"""The command line: its commands, and what prints the answers of a running service."""
