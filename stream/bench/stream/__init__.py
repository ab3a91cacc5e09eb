"""How fast the whole path over Kafka is."""
