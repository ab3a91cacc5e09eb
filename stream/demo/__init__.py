"""`betapack demo`: the service on real prices and a simulated desk, in one terminal."""
