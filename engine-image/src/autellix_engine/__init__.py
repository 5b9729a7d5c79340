"""The engine's side of Autellix: program priority inside vLLM's own scheduler.

Two of vLLM's public flags carry it, and nothing of vLLM is patched or forked::

    --scheduler-cls autellix_engine.scheduler.program_scheduler
    --middleware    autellix_engine.middleware.ProgramMiddleware

The rules of scheduling are :mod:`autellix_core`'s; this package translates between them and vLLM::

    __main__ launch  tiny_model   one command that starts an engine
    middleware  state             the API process: headers in, reports and state out
    scheduler                     the engine process: the only file that knows vLLM's scheduler
    ledger  accounts  lifetime    its calls; one call's time; no engine process outlives its API process
    settings  carrier             what can be set; what passes between the two processes
"""
