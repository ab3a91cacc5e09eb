"""The rules: what one event changes and what is published of it. Pure, without I/O."""
