"""Engines and load without GPUs, driven by the deployed rules of :mod:`autellix_core`, never by a copy of them::

__main__   the command: `python -m autellix_bench engine-sim`
server     the engine model in real time behind the OpenAI API and the engine's contract
engine     the engine model: continuous batching, KV blocks, preemption; pure, in whatever time it is told
"""
