"""Points of a lattice in a ball or in a cube, enumerated in a reduced basis."""
