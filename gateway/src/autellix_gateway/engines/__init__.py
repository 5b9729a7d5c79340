"""The engines: which there are and how they are (:mod:`registry`), and how a call is passed to one (:mod:`transport`).

:mod:`reports` reads what an engine reports in band.
"""
