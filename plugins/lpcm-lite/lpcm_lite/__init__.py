"""Encoders and image sets for lpcm that install from PyPI alone. Refuses to open a network connection."""
