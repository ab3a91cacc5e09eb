"""How kernels are compiled, and how they are interrupted."""
