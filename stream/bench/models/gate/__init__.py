"""The plausibility gate on real prices: false alarms, injected faults, and what it costs."""
