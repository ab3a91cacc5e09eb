"""How good forecasts were, once what they forecast has happened."""
