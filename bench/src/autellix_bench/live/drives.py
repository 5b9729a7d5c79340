"""What a run was: its programs' numbers, and what the driver itself took, without which no number can be trusted."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autellix_bench.records import CallRecord, ProgramRecord, by_program
from autellix_core.latency import mean, percentile

__all__ = ["MOST_SLIP", "Drive", "Tally"]

MOST_SLIP = 0.05
"""The share of the calls' time that the driver may make before a run is invalid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """A finished run. Times are seconds."""

    programs: Sequence[ProgramRecord]
    """By arrival; :func:`autellix_bench.points.summed_up` makes a point of them."""
    failed: int
    """Programs of which a call failed."""
    calls: int
    """Sent."""
    sessions_left: int
    """Programs whose session the gateway did not end."""
    wall_s: float
    cpu_s: float
    """Of this whole process, which is the driver's as long as nothing else runs in it."""
    slip_mean_s: float
    """Over all calls, from when each was due to when it was sent: waking late, writing the prompt."""
    slip_p99_s: float
    call_mean_s: float
    """From when an answered call was due to its end."""

    @property
    def slip_share(self) -> float:
        """The share of the calls' time, as the records show it, that was not the system's but the driver's."""
        return self.slip_mean_s / self.call_mean_s if self.call_mean_s else 1.0

    @property
    def cpu_share(self) -> float:
        """Of one core. Near 1 the driver reads late what came in time, which the slip does not show."""
        return self.cpu_s / self.wall_s if self.wall_s else 0.0

    @property
    def valid(self) -> bool:
        """Whether it says something of the system."""
        return self.slip_share <= MOST_SLIP

    @property
    def params(self) -> Mapping[str, float | str]:
        """For a :class:`~autellix_bench.points.Point`."""
        return {
            "slip_share": self.slip_share,
            "slip_p99_s": self.slip_p99_s,
            "driver_cpu_share": self.cpu_share,
            "valid": "yes" if self.valid else "no",
        }

    def sentences(self) -> tuple[str, ...]:
        """What is to be printed with every run."""
        programs, sent = len(self.programs), f"sent {self.calls} calls in {self.wall_s:.1f} s"
        cpu_ms = 1e3 * self.cpu_s / self.calls if self.calls else 0.0
        mean_ms, p99_ms, call_ms = 1e3 * self.slip_mean_s, 1e3 * self.slip_p99_s, 1e3 * self.call_mean_s
        late = f"late in the mean, 99 of 100 at most {p99_ms:.2f} ms"
        said = [
            f"{programs} programs {sent}; {self.failed} programs failed.",
            f"The driver took {self.cpu_s:.2f} s of CPU: {self.cpu_share:.1%} of a core, {cpu_ms:.2f} ms a call.",
            f"Calls went {mean_ms:.2f} ms {late}: {self.slip_share:.2%} of the {call_ms:.0f} ms that an answer took.",
        ]
        if self.sessions_left:
            said.append(f"{self.sessions_left} sessions could not be ended; they are left to expire.")
        if not self.call_mean_s:
            said.append("This run is invalid: no call was answered. The records say why.")
        elif not self.valid:
            said.append(
                f"This run is invalid: more than {MOST_SLIP:.0%} of the calls' time was the driver's own. Send fewer "
                "programs a second, or give the driver a core of its own."
            )
        return tuple(said)


@dataclass(slots=True)
class Tally:
    """Counts of a run under way."""

    arrived: int = 0
    failed: int = 0
    programs: list[ProgramRecord] = field(default_factory=list)
    """Those that ended, in this order."""
    _slips_s: "array[float]" = field(default_factory=lambda: array("d"))
    _answered: int = 0
    _answered_s: float = 0.0
    _sessions_left: int = 0

    def ended(self, calls: Sequence[CallRecord], *, session_left: bool) -> None:
        """A program has ended; these are the records of its calls. Without one it was cancelled before its first."""
        self._sessions_left += session_left
        for call in calls:
            self._slips_s.append(call.sent_s - call.due_s)
            if call.error is None:
                self._answered += 1
                self._answered_s += call.ended_s - call.due_s
        for program in by_program(calls):
            self.programs.append(program)
            self.failed += program.failed

    def drive(self, *, wall_s: float, cpu_s: float) -> Drive:
        """The run, now that it is over."""
        slips = self._slips_s
        return Drive(
            programs=sorted(self.programs, key=lambda program: (program.arrival_s, program.program)),
            failed=self.failed,
            calls=len(slips),
            sessions_left=self._sessions_left,
            wall_s=wall_s,
            cpu_s=cpu_s,
            slip_mean_s=mean(slips) if slips else 0.0,
            slip_p99_s=percentile(slips, 0.99) if slips else 0.0,
            call_mean_s=self._answered_s / self._answered if self._answered else 0.0,
        )
