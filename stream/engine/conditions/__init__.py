"""The conditions that alerts are about, by subject."""
