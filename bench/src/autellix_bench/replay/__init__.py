"""Programs in files: recorded ones replayed, drawn ones kept. One line of JSON a program::

    {"id": "p1", "workload": "chat", "arrival_s": 0.5, "calls": [
        {"id": "a", "output_tokens": 20, "prompt": [{"key": "shared/system", "tokens": 512},
                                                    {"key": "question", "tokens": 30}]},
        {"id": "b", "output_tokens": 9, "parents": ["a"], "gap_s": 1.5, "extends": "a",
         "prompt": [{"key": "follow-up", "tokens": 12}]}]}

(one line in the file, four here). A program has:

=============  =======================================================================================================
``id``         text, unique in the file
``workload``   text: the name that results are grouped by
``arrival_s``  seconds since the beginning of the load, at least 0; lines need not be in this order
``calls``      at least one call, each after those that it waits for
=============  =======================================================================================================

A call has:

=================  ===================================================================================================
``id``             text, unique in the program
``output_tokens``  whole number, at least 1
``prompt``         its segments in order: at least one, or ``extends``
``extends``        optional: the id of a call that this one waits for, directly or not. The prompt begins with that
                   one's prompt and its answer, all ``output_tokens`` of it, and ``prompt`` is what follows
``parents``        optional: ids of the calls that must have been answered before it is sent; none: it is sent when the
                   program arrives
``gap_s``          optional, seconds, at least 0: from the last parent's answer (or the arrival) to its sending
=================  ===================================================================================================

A segment has a ``key`` (text), ``tokens`` (whole number, at least 1) and optionally ``answer``: true if it is the
answer of the call ``key``, which must then be one that this call waits for, directly or not. Equal keys are equal
text within a program; keys that begin with ``shared/`` are equal text in all programs. Prompts that begin with the
same segments begin with the same text, which is what a prefix cache finds. Other names are ignored, and so are empty
lines.

Files of others are read by :func:`sharegpt` (chats) and :func:`otel` (spans of OpenTelemetry). A live run's records are
no programs: they do not say what a prompt was made of.
"""

from autellix_bench.replay.conversations import Tokens, estimated_tokens, sharegpt
from autellix_bench.replay.lines import read, write
from autellix_bench.replay.spans import otel

__all__ = ["Tokens", "estimated_tokens", "otel", "read", "sharegpt", "write"]
