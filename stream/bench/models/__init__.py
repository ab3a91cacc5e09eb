"""How fast and how true covariances and β are."""
