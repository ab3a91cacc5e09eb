"""Before any test module loads numpy or numba."""

from stream.cli.kernels import prepare_kernels

prepare_kernels()
