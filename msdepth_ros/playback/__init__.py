"""Recordings as messages to publish; who publishes them is not known here."""
