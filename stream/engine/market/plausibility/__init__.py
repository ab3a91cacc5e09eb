"""Which quotes are believed: the gate in front of the market model.

gate      : looks at the quotes of a timestep before anything else does
usual     : what an instrument usually does
witnesses : what other instruments say of an instrument's mid
faults    : what a move looks like, in words
state     : what is remembered from close to close
"""
