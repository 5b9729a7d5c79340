"""Fixtures that all integration tests share: the real engines, each started when the first test asks for it."""

from real_engine import engines, first_engine, second_engine

__all__ = ["engines", "first_engine", "second_engine"]
