"""Refused records: which are kept whole, which are summed up, and when so many were refused that a human must look."""
