"""The {{kind}} {{name}} for lpcm."""
