"""The β vectors in use, and the sequential tests that retire them."""
