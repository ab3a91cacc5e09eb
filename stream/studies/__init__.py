"""Studies: what runs over files, without Kafka."""
