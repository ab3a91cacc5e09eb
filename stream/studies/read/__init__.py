"""Files of prices and quotes: the one reader of all studies and benchmarks."""
