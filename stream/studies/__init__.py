"""What runs over files, without Kafka."""
