"""Kafka's log: how it is reached, read and written. The client library is imported here and nowhere else."""
