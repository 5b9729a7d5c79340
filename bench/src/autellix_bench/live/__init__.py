"""The live driver: the same programs that are simulated, sent to any OpenAI-compatible URL; and an engine's costs.

::

    driver       all programs, open loop
    calibration  an engine's steps measured, and the engine model's costs fitted to them
    progress     a bar
    walks        one program in causal order
    drives       what a run was, and what the driver itself took of it
    asking       calls and sessions as requests
    readings     answers, read while they come
    targets      where to, and how the system there is told of programs
    transport    the network
    prompts      texts of exact lengths
"""

from autellix_bench.live.driver import drive
from autellix_bench.live.drives import Drive, Tally
from autellix_bench.live.progress import progress
from autellix_bench.live.prompts import ENCODINGS, Encoding
from autellix_bench.live.readings import CallFailed
from autellix_bench.live.targets import Api, InBody, InHeader, Sessions, Target, Told
from autellix_bench.live.transport import HttpTransport, Reply, Transport, Unreachable

__all__ = [
    "ENCODINGS",
    "Api",
    "CallFailed",
    "Drive",
    "Encoding",
    "HttpTransport",
    "InBody",
    "InHeader",
    "Reply",
    "Sessions",
    "Tally",
    "Target",
    "Told",
    "Transport",
    "Unreachable",
    "drive",
    "progress",
]
