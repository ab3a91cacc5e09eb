"""Solved books and decisions to the messages that are published of them."""
