"""A torus as a latent space for lpcm. Importing this imports nothing heavy."""
