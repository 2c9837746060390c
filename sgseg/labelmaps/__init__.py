"""Label maps as NumPy arrays: superpixels of classical methods, their pieces and their quality."""
