"""Computes and scores planned sets in this process."""
