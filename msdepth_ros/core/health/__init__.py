"""What is wrong with images, cameras, their matching, or the whole."""
