"""How each method proposes β vectors; `proposals` runs any of them by name."""
