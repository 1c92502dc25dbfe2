"""Encoders: CLIP towers, image backbones and stored features, and how their features are extracted.

Refuses to import anything heavy: records name their loaders, and loaders import what they need.
"""
