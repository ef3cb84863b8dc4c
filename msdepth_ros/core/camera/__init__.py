"""Cameras, rigs, what the network sees of them, and images as arrays."""
