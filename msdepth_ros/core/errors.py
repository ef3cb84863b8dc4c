"""The one error type of the package."""


class MsdepthError(Exception):
    """Bad input: the message says what was wrong, where, and what to do about it."""
