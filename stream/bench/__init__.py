"""`betapack bench`: figures of every part, with those of a reference from the same run where there is one."""
