"""What statsmodels says of the rows that the last refit was fitted to, beside what the refit says."""
