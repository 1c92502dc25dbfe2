"""Disentanglers: maps of frozen features, fitted without labels. Importing this imports nothing heavy."""
