"""The theory lab: pairs from coupled latents, two encoders, one loss. Importing this imports nothing heavy."""
