"""Prices, covariance and β vectors of the universe."""
