"""Settings that hold for every test."""

from hypothesis import settings

# An example may take as long as a loaded machine makes it take: no assertion is timed.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
