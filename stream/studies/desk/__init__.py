"""`betapack desk`: hedging policies compared on a simulated desk, whose clients, quotes and fills close the loop."""
