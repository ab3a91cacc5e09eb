"""The figures of the studies."""
