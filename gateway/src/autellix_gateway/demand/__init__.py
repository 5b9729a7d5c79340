"""The demand on every pool: what each gateway says of itself in the process table, and what they say together."""

__all__: list[str] = []
