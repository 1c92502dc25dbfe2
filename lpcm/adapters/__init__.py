"""Adapters: few-shot classifiers on frozen features. Importing this imports nothing heavy."""
