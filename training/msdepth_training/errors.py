"""The one error type of this package."""

from __future__ import annotations


class TrainingError(Exception):
    """Bad configuration, data or checkpoint. The message says what was wrong, where, and what to do."""
