"""What all tests share."""

from hypothesis import settings

# How long an example takes depends on what else the machine does, and says nothing of what is tested.
settings.register_profile("autellix", deadline=None)
settings.load_profile("autellix")
