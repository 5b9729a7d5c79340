"""The life of one call: arrive, place, forward, settle.

:mod:`forwarding` places calls and passes bytes; :mod:`holding` lets them wait while no engine takes them;
:mod:`accounts` keeps what each call under way costs and settles it
exactly once; :mod:`messages` is what comes in and what goes out.
"""
