"""Image sets that install from PyPI: emoji and icons. Refuses to load a renderer before it draws."""
