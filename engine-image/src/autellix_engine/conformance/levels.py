"""A call's way through the levels: where it enters, when it is demoted, when it is promoted."""

import math

from autellix_core.levels import level_of
from autellix_core.priority import Policy
from autellix_engine.conformance.calls import Call, headers
from autellix_engine.conformance.probe import Engine
from autellix_engine.conformance.scenes import full_batch, shortly, together
from autellix_engine.conformance.verdicts import Skipped, expect

__all__ = ["demotion", "entry_level", "promotion"]


async def entry_level(engine: Engine) -> str:
    """A call enters the level whose range holds its program's service; under MLFQ always the first."""
    bounds = engine.levels.bounds_s
    cases = [(service_s, policy) for policy in (Policy.ATLAS, Policy.PLAS) for service_s in _edges(bounds)]
    cases.append((engine.deep_s, Policy.MLFQ))
    calls = [engine.call(1, service_s, policy=policy) for service_s, policy in cases]
    for start in range(0, len(calls), engine.slots):
        await together(engine, calls[start : start + engine.slots])
    for (service_s, policy), call in zip(cases, calls, strict=True):
        right = 0 if policy is Policy.MLFQ else level_of(engine.levels, service_s)
        report = call.reported
        entered = report.level - report.demotions
        expect(
            entered == right,
            f"Under {policy.value}, a call of a program with {service_s:g} s of service must enter level {right}, "
            f"not {entered}: the levels' bounds are {list(bounds)} s.",
        )
    return f"{len(calls)} calls entered their levels, also at the edges of all {engine.levels.count}"


def _edges(bounds: tuple[float, ...]) -> list[float]:
    return sorted({0.0, *bounds, *(math.nextafter(bound, 0.0) for bound in bounds)})


async def demotion(engine: Engine) -> str:
    """A call that used up its level's quantum is demoted a level, and none before."""
    quanta = engine.levels.quanta_s
    if engine.levels.count < 2 or math.isinf(quanta[0]):
        raise Skipped("the first level's quantum has no end")
    early = (await engine.caller.stream(engine.call(1))).reported
    if early.service_s < quanta[0] / 2:
        expect(early.demotions == 0, f"A call with {early.service_s:.3f} s of service was demoted before its quantum.")
    call = await _longer_than(engine, 1.6 * quanta[0])
    report = call.reported
    expect(
        report.service_s >= 1.2 * quanta[0],
        f"A call was in the engine alone for {call.observed_s:.2f} s, but reports {report.service_s:.3f} s of service.",
    )
    expect(
        report.demotions >= 1,
        f"A call with {report.service_s:.2f} s of service, over its level's quantum of {quanta[0]:g} s, must be "
        "demoted; it reports 0 demotions.",
    )
    owed_s = sum(quanta[: report.demotions])
    expect(
        report.service_s >= 0.99 * owed_s,
        f"{report.demotions} demotions take {owed_s:g} s of service, but the call reports {report.service_s:.3f} s.",
    )
    expect(
        report.level == min(report.demotions, engine.levels.count - 1),
        f"After {report.demotions} demotions from level 0 a call must be at that level, not at {report.level}.",
    )
    return f"{report.service_s:.2f} s of service at a first quantum of {quanta[0]:g} s: {report.demotions} demotions"


async def _longer_than(engine: Engine, seconds: float) -> Call:
    tokens = engine.tokens(seconds)
    while True:
        call = await engine.caller.stream(engine.call(tokens))
        if call.observed_s >= seconds:
            return call
        if tokens >= engine.longest - 256:
            raise Skipped(f"the model's longest call takes {call.observed_s:.2f} s, less than {seconds:.2f} s")
        tokens = min(2 * tokens, engine.longest - 256)


async def promotion(engine: Engine) -> str:
    """A waiting call with (W_program + W_call) / (T_program + T_call) >= beta goes to the first level, not before."""
    beta = engine.levels.beta
    if beta is None:
        raise Skipped("beta is off")
    if engine.levels.count < 2:
        raise Skipped("the engine has one level")
    short_s = 0.2
    served_s = max(1.0, 60.0 / beta)
    starving = headers(engine.deep_s, wait_s=beta * served_s - short_s, program_service_s=served_s)
    patient = headers(engine.deep_s, wait_s=0.0, program_service_s=served_s)
    calls = [Call(each, "A call that waits its turn.", shortly(engine)) for each in (starving, patient)]
    async with full_batch(engine, hold_s=1.0):
        await together(engine, calls)
    reports = [call.reported for call in calls]
    expect(
        reports[0].promotions >= 1,
        f"A call whose program waited {starving.program_wait_s:g} s for {served_s:g} s of service has starved after "
        f"{short_s} s more, by beta = {beta:g}; it waited {reports[0].wait_s:.2f} s and reports 0 promotions.",
    )
    expect(reports[1].promotions == 0, "A call was promoted whose program had not waited beta times its service.")
    return f"the starving call was promoted after {reports[0].wait_s:.2f} s of waiting, the patient one was not"
