"""The shell of betapack: everything that touches Kafka, files, clocks, the environment or a terminal."""
