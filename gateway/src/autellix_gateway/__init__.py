"""The gateway: it speaks the agents' APIs, knows each call's program, orders it and places it on an engine.

Layers, upper ones may use lower ones::

    __main__            reads the settings, builds everything once, serves
    app                 the FastAPI application: routes, lifespan, error shapes
    api                 HTTP in and out: what clients send and get
    calls               the life of one call: arrive, place, forward, settle
    table  engines      the process table; the engines and how to talk to them
    identity metrics    whose call it is; what is counted
    settings
"""
