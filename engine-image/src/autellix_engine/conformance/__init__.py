"""Does an engine keep the contract? A black-box suite for any engine, told nothing but its URL.

What the suite knows of the engine it reads from ``GET /autellix/state`` (slots, levels, beta) and measures (how long a
token takes); it plays the gateway and looks at order, causes and ratios, never at how fast the engine is::

    __main__                      python -m autellix_engine.conformance URL
    suite                         the checks by name, one after the other
    order  levels  sharing        Figure 2, FCFS; entry, demotion, promotion; siblings, preemption, text
    accounts  contract            reports and aborts; headers, streams
    scenes                        a full batch, and calls that arrive at it
    probe                         the engine's state and speed
    calls                         one call over HTTP, and what came of it
    verdicts                      passed, failed or skipped, with a sentence

It needs an HTTP client that an engine's environment has: aiohttp, which every release of vLLM that the adapter knows
depends on itself. An HTTP client of ours would have to be added there.
"""
