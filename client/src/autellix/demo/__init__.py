"""The demonstration: the same agent programs served twice on the same engines, by program and by call.

`workloads` says what the programs are, `agents` runs one, `trials` runs all under one system, `latency` measures,
`tables` shows; `comparison` puts them together.
"""
