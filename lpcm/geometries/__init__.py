"""Geometries: latent spaces with their samplers. Importing this imports nothing heavy."""
