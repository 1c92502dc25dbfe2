"""Training a pair of towers by the contrastive loss: frozen encoders, trainable heads. Imports nothing heavy."""
