"""Finding combinations of log prices that mean-revert: proposing, measuring and selecting β vectors."""
