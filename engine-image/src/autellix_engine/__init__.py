"""The engine's side of Autellix: program priority inside vLLM's own scheduler.

Two of vLLM's public flags carry it, and nothing of vLLM is patched or forked::

    --scheduler-cls autellix_engine.scheduler.program_scheduler
    --middleware    autellix_engine.middleware.ProgramMiddleware

The rules of scheduling are :mod:`autellix_core`'s; this package translates between them and vLLM::

    __main__ launch  tiny_model   one command that starts an engine
    variables  health             the same command in a container: its environment, its health check
    middleware  state  metrics    the API process: headers in, reports, state and metrics out
    scheduler  blocks  readiness  the engine process: the only files that know vLLM's scheduler
    versions  features            which of vLLM's versions and features go with it, and what is refused
    ledger  accounts  counts      its calls; one call's time; what happened since the start
    waiting                       vLLM's queue of waiting requests, cheap to leave
    lifetime                      no engine process outlives its API process
    settings  carrier             what can be set; what passes between the two processes
"""
