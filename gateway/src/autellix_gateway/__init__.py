"""The gateway: it speaks the agents' APIs, knows each call's program, orders it and places it on an engine.

Layers, upper ones may use lower ones::

    __main__            reads the settings, builds what outlives a request, serves
    app                 puts the FastAPI application together
    api  settings       HTTP in and out, as clients see it; what can be set
    calls               the life of one call: arrive, place, forward, settle
    table  engines      the process table; the engines and how to talk to them
    identity  metrics   whose call it is; what is counted
    errors              what the gateway refuses a request with
"""
