"""Image sets that install from PyPI: emoji and icons. Refuses to import a renderer before an image is opened."""
