"""A clock that stands until it is moved."""

__all__ = ["TableClock"]


class TableClock:
    """Seconds since the epoch, for a table under test."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.25

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
