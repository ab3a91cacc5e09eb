"""The messages of a book, built from solved books and decisions."""
