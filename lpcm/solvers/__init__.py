"""Solvers that adapters share."""
