"""What flows: records to typed events and back, their order in event time, timesteps."""
