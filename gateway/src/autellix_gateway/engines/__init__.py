"""The engines: how they are (:mod:`registry`), and how a call is passed to one (:mod:`transport`).

Which there are is a list of :mod:`members`: given once, or kept up to date by :mod:`kubernetes` from the cluster's
objects, which :mod:`watches` follows and :mod:`endpoints` reads. :mod:`reports` reads what an engine reports in band.
"""
