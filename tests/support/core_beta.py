"""What beta does to latencies, measured on the core's queues in virtual time: `python tests/support/core_beta.py`.

One engine with a batch of so many places serves programs that arrive at random times; each is a chain of calls with
thinking time in between. A call takes its decode time in steps of 50 ms, and every resumption costs one step more.
The same programs, drawn from a seed, are served under each beta. A program's slowdown is its time from arrival to end
over what it would have taken alone.
"""

import heapq
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from autellix_core import priority
from autellix_core.batch import Room
from autellix_core.levels import Levels, measured
from autellix_core.priority import Policy
from autellix_core.queues import Queues

__all__ = ["MIXES", "Mix", "Outcome", "Program", "draw", "serve"]

STEP_S = 0.05


@dataclass(frozen=True, slots=True)
class Program:
    """Its arrival, the seconds each call decodes, and the seconds of thinking before each but the first."""

    arrival_s: float
    calls_s: tuple[float, ...]
    thinks_s: tuple[float, ...]

    @property
    def alone_s(self) -> float:
        """From arrival to end on an idle engine."""
        return sum(self.calls_s) + sum(self.thinks_s)


@dataclass(frozen=True, slots=True)
class Mix:
    """Programs of each kind: how many, mean calls, mean seconds a call; and the load they put on the places."""

    kinds: tuple[tuple[int, float, float], ...]
    load: float
    places: int = 8


MIXES = {
    "chains of two lengths, load 0.9": Mix(((480, 4.0, 0.5), (120, 15.0, 2.0)), load=0.9),
    "chains of two lengths, load 1.1": Mix(((480, 4.0, 0.5), (120, 15.0, 2.0)), load=1.1),
    "a few giants, load 1.1": Mix(((570, 5.0, 0.5), (30, 30.0, 6.0)), load=1.1),
    "a flood of new programs, load 1.3": Mix(((900, 1.0, 0.5), (15, 10.0, 3.0)), load=1.3),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Slowdowns of all programs, the longest wait of one call, and what moved."""

    mean: float
    p99: float
    worst: float
    longest_wait_s: float
    preemptions: int
    promotions: int


def draw(mix: Mix, seed: int) -> list[Program]:
    """The same programs for the same seed."""
    chance = random.Random(seed)
    drawn: list[tuple[tuple[float, ...], tuple[float, ...]]] = []
    for count, mean_calls, mean_s in mix.kinds:
        for _ in range(count):
            length = 1 + min(80, int(chance.expovariate(1 / mean_calls)))
            decodes = tuple(max(STEP_S, chance.expovariate(1 / mean_s)) for _ in range(length))
            drawn.append((decodes, tuple(chance.expovariate(1.0) for _ in range(length - 1))))
    chance.shuffle(drawn)
    work_s = sum(sum(calls) for calls, _ in drawn)
    gap_s = work_s / len(drawn) / (mix.places * mix.load)
    arrival_s, programs = 0.0, []
    for calls, thinks in drawn:
        arrival_s += chance.expovariate(1 / gap_s)
        programs.append(Program(arrival_s, calls, thinks))
    return programs


def serve(programs: Sequence[Program], *, places: int, beta: float | None, policy: Policy = Policy.ATLAS) -> Outcome:
    """Serve them to the end."""
    queues = Queues(Levels.geometric(beta=beta))
    service_s = [0.0] * len(programs)
    wait_s = [0.0] * len(programs)
    left: dict[str, float] = {}
    arrivals = [(program.arrival_s, number, 0) for number, program in enumerate(programs)]
    heapq.heapify(arrivals)
    slowdowns, longest_wait_s, preemptions, promotions, now = [], 0.0, 0, 0, 0.0
    while arrivals or left:
        if not left:
            now = max(now, arrivals[0][0])
        while arrivals and arrivals[0][0] <= now:
            _, number, index = heapq.heappop(arrivals)
            name = f"{number}/{index}"
            entry_s = priority.entry_service(policy, critical_path_s=service_s[number], service_s=service_s[number])
            queues.enter(
                name,
                entry_s,
                now=now,
                policy=policy,
                program_wait_s=wait_s[number],
                program_service_s=service_s[number],
            )
            left[name] = programs[number].calls_s[index]
        promotions += len(queues.turn(now=now).promoted)
        room = Room(places - sum(running for _, running in queues.lengths()), 0)
        picked = queues.select(room, needs=lambda _: 0, holds=lambda _: 0, most_preemptions=4)
        preemptions += len(picked.preempt)
        for call in picked.preempt:
            queues.preempted(call.id, now=now)
        for call in picked.admit:
            if queues.started(call.id, now=now).preemptions:
                left[call.id] += STEP_S
        now += STEP_S
        for name in [call.id for call in queues.running]:
            left[name] -= STEP_S
            if left[name] > 1e-9:
                continue
            del left[name]
            number, index = (int(part) for part in name.split("/"))
            ran_s, waited_s = measured(queues.leave(name), now=now)
            service_s[number] += ran_s
            wait_s[number] += waited_s
            longest_wait_s = max(longest_wait_s, waited_s)
            program = programs[number]
            if index + 1 < len(program.calls_s):
                heapq.heappush(arrivals, (now + program.thinks_s[index], number, index + 1))
            else:
                slowdowns.append((now - program.arrival_s) / program.alone_s)
    slowdowns.sort()
    p99 = slowdowns[math.ceil(0.99 * len(slowdowns)) - 1]
    return Outcome(statistics.mean(slowdowns), p99, slowdowns[-1], longest_wait_s, preemptions, promotions)


def main() -> None:
    """Print the table."""
    print("| mix | beta | mean slowdown | P99 | worst | longest wait of a call | preemptions | promotions |")  # noqa: T201
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")  # noqa: T201
    for name, mix in MIXES.items():
        rows: list[tuple[str, float | None, Policy]] = [("FCFS", None, Policy.FCFS), ("off", None, Policy.ATLAS)]
        rows += [(f"{beta:g}", beta, Policy.ATLAS) for beta in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)]
        for label, beta, policy in rows:
            got = [serve(draw(mix, seed), places=mix.places, beta=beta, policy=policy) for seed in range(2)]
            shown = [statistics.mean(getattr(each, part) for each in got) for part in _MEANS]
            moved = [sum(getattr(each, part) for each in got) for part in ("preemptions", "promotions")]
            cells = [name, label, *(f"{value:.1f}" for value in shown), *map(str, moved)]
            print(f"| {' | '.join(cells)} |")  # noqa: T201


_MEANS = ("mean", "p99", "worst", "longest_wait_s")


if __name__ == "__main__":
    main()
