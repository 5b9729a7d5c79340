"""The errors of the core.

::

    AutellixError
    ├── InvalidSetting   a policy was configured with values that cannot work (also a ValueError)
    ├── NoEngine         there is no engine to place a call on
    └── MalformedReport  an engine's report is not what the contract says (also a ValueError)

Each message is one sentence that says what is wrong and what to do about it.
"""

__all__ = ["AutellixError", "InvalidSetting", "MalformedReport", "NoEngine"]


class AutellixError(Exception):
    """Anything that Autellix itself reports as wrong."""


class InvalidSetting(AutellixError, ValueError):
    """A policy was configured with values that cannot work."""


class NoEngine(AutellixError):
    """There is no engine to place a call on."""


class MalformedReport(AutellixError, ValueError):
    """An engine's report of a call is not what the contract says."""
