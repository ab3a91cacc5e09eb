"""How kernels are compiled, compiled ahead, and stopped."""
