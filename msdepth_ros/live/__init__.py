"""Watches and measures a running node."""
