"""Kafka's log: how it is reached, read and written. The service imports the client library here alone."""
