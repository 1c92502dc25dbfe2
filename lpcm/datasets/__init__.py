"""Datasets that come with lpcm: labelled images in splits, listed without importing torch.

Nothing is imported here: ``lpcm.datasets.records`` names each loader; the runner resolves it when needed.
"""
