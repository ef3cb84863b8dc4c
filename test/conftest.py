"""Settings for all tests."""

from hypothesis import settings

# How long an example takes depends on what else the machine does; what hangs is ended by pytest-timeout.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
