"""Faults put into camera images on purpose."""
