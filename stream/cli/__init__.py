"""The command line: its commands, and tables of what a running service answers."""
