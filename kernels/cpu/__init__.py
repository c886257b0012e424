"""Numba twins of the kernels, and the compiled rows and loops that they and the dynamics are made of.

Array arguments are C-contiguous and of one floating type; nothing is checked here: `traindyn.kernels` does.
"""
