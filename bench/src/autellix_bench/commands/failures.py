"""How a command ends that cannot go on: with a sentence, and a status that says whose the mistake is."""

__all__ = ["Failed", "Misused"]


class Failed(Exception):
    """It was asked well and did not succeed: status 1."""


class Misused(Exception):
    """It cannot do what it was asked: status 2, with its usage."""
