"""The embedded encoders: two towers from PyPI and how they are joined. Refuses to import torch by itself."""
