"""Depth against the ground truth of a recording."""
