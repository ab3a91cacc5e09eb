"""Commands that ask a running service about its books."""
