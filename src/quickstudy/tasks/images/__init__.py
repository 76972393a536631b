"""Tasks of images: data sets, folders, and drawn glyphs."""
