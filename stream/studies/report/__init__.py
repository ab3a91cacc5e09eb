"""One page frame and one plot style for all reports."""
