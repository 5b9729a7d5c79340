"""The process table: one row a program, shared by every gateway of a pool.

:mod:`protocol` is the contract; :mod:`memory` keeps it in one process, :mod:`redis` in Redis for all, and
:mod:`fallback` serves on while Redis is away.
"""
