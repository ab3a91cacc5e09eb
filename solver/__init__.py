"""Pure numerics of betapack: arrays in, arrays or frozen results out.

Nothing here reads a clock, a file, the environment or Kafka; chance comes in as a `numpy.random.Generator`.

- `covariance` estimates covariances of log returns from prices or ticks.
- `reversion` finds combinations of log prices that mean-revert, and watches them.
- `packing` packs these into a position; `hedging` trades the rest away; `market_making` says when to wait for clients.
- `scoring` says how good forecasts were.
"""
