"""Metrics: a score, what chance gives for it, and a card. Importing this imports nothing heavy."""
