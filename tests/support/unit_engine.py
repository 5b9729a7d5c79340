"""An engine that serves one unit of work a call and time unit: Algorithm 1 without an engine around it.

Programs are chains of calls; each arrives at the instant the one before it ends. Time is virtual and whole.
"""

from collections.abc import Mapping, Sequence

from autellix_core import priority
from autellix_core.batch import Room
from autellix_core.levels import Levels, measured
from autellix_core.priority import Policy
from autellix_core.queues import Queues


def total_wait(programs: Mapping[str, Sequence[int]], *, batch: int, policy: Policy, levels: Levels) -> float:
    """Serve all programs from time 0 to the end; the units that their calls waited, summed."""
    queues = Queues(levels)
    left = {name: list(calls) for name, calls in programs.items()}
    work: dict[str, int] = {}  # units that each program's present call still needs
    path_s = dict.fromkeys(programs, 0.0)
    total = 0.0
    now = 0

    def arrive(name: str) -> None:
        work[name] = left[name].pop(0)
        entry_s = priority.entry_service(policy, critical_path_s=path_s[name], service_s=path_s[name])
        queues.enter(name, entry_s, now=now, policy=policy)

    for name in programs:
        arrive(name)
    while len(queues):
        queues.turn(now=now)
        running = sum(at_level for _, at_level in queues.lengths())
        picked = queues.select(Room(batch - running, 0), needs=lambda _: 0, holds=lambda _: 0, most_preemptions=batch)
        for call in picked.preempt:
            queues.preempted(call.id, now=now)
        for call in picked.admit:
            queues.started(call.id, now=now)
        now += 1
        for call in sorted(queues.running, key=lambda call: call.serial):
            work[call.id] -= 1
            if work[call.id]:
                continue
            service_s, wait_s = measured(queues.leave(call.id), now=now)
            total += wait_s
            path_s[call.id] = priority.settled(path_s[call.id], path_s[call.id], service_s)
            if left[call.id]:
                arrive(call.id)
    return total
