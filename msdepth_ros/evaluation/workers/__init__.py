"""Spreads an evaluation over worker processes, on this machine or in a Ray cluster."""
