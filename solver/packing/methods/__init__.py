"""The methods, each a function from a problem to a packing; `many_books` packs a whole desk at once."""
