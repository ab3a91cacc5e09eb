"""What one book holds, what is unhedged of it, and what is suggested for it."""
