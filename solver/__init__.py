"""Pure numerics of betapack: arrays in, arrays or frozen results out.

Nothing here reads a clock, a file, the environment or Kafka; chance comes in as a `numpy.random.Generator`.
"""
