"""The simulated engine: :mod:`autellix_bench.engine` in real time, behind the OpenAI API and the engine's contract.

::

    app        routes, and who is told what
    answers    an answer as JSON or as a stream of events, with the report where the contract wants it
    serving    the model in real time: an iteration takes as long as the model says
    failures   calls that are made to fail
    asked      a request's body as a call for the model
    words      the text of an answer, from its prompt and a seed
    metrics    /metrics under vLLM's names
    knobs      what can be set
"""

from autellix_bench.server.app import application, run
from autellix_bench.server.knobs import FailureKind, Knobs
from autellix_bench.server.serving import Serving

__all__ = ["FailureKind", "Knobs", "Serving", "application", "run"]
