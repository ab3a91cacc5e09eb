"""An Apache Kafka of one node on this machine, from pip alone."""
