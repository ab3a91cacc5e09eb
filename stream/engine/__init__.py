"""The rules: what one event changes and which messages it causes. Without I/O."""
