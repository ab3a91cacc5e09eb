"""`betapack bench`: speed as ratios, each against something that ran beside it."""
