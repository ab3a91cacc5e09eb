"""Stand-ins for Kafka, and Kafka without betapack: for tests of betapack and of programs around it."""
