"""What tests of betapack, and of programs around it, run against instead of Kafka."""
