"""Between the rows of :mod:`autellix_core.program` and what the Lua scripts keep and return.

Lua has one kind of number and one kind of table: a whole number comes back as an integer, an empty map as an empty
list, and None as an absent field. The decoders restore the types; no value changes on the way, since both sides keep
seconds as doubles.
"""

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

import msgpack  # type: ignore[import-untyped]  # it ships no types

from autellix_core.program import Call, CallId, EngineId, Measured, Program, ProgramId
from autellix_gateway.table.protocol import Admission, CallRef, Progress, Published

__all__ = ["admission", "measured", "pack", "program", "progress", "published", "reference", "text", "unpack"]

Record = Mapping[str, Any]


def pack(arguments: Record) -> bytes:
    """The one argument of a script."""
    packed: bytes = msgpack.packb(arguments, unicode_errors="surrogateescape")
    return packed


def unpack(reply: bytes | str) -> Any:
    """The one reply of a script."""
    return msgpack.unpackb(reply, unicode_errors="surrogateescape")


def text(octets: bytes) -> str:
    """Any octets as an argument: Lua has one kind of string for both, and returns a text."""
    return octets.decode(errors="surrogateescape")


def measured(cost: Measured) -> Record:
    """What a call cost, as an argument."""
    return asdict(cost)


def reference(ref: CallRef) -> Record:
    """Which call, as an argument."""
    return asdict(ref)


def progress(call: Progress) -> Record:
    """Which call, and its cost so far, as an argument."""
    return {**asdict(call.ref), "wait_s": call.wait_s, "service_s": call.service_s}


def admission(record: Record, call: CallId) -> Admission:
    """What ``arrive`` returns."""
    return Admission(
        ref=CallRef(program=ProgramId(record["program"]), call=call, fence=record["fence"]),
        inherited_s=float(record["inherited_s"]),
        service_s=float(record["service_s"]),
        wait_s=float(record["wait_s"]),
        home=record.get("home"),
        engine_calls=MappingProxyType(dict(record["engine_calls"])),
        over_limit=record["over_limit"],
    )


def published(record: Record) -> Published:
    """What ``published`` returns."""
    return Published(
        at=float(record["at"]),
        rows=MappingProxyType(
            {gateway: row.encode(errors="surrogateescape") for gateway, row in dict(record["rows"]).items()}
        ),
        engine_calls=MappingProxyType(dict(record["engine_calls"])),
    )


def program(record: Record) -> Program:
    """One row."""
    threads = dict(record["threads"])
    calls = sorted((_call(CallId(call), thread) for call, thread in threads.items()), key=lambda call: call.fence)
    return Program(
        id=ProgramId(record["id"]),
        tenant=record["tenant"],
        model=record["model"],
        created_at=float(record["created_at"]),
        single_call=record["single_call"],
        mirror=record.get("mirror", False),  # rows of version 0.1 have none
        critical_path_s=float(record["critical_path_s"]),
        service_s=float(record["service_s"]),
        wait_s=float(record["wait_s"]),
        calls=record["calls"],
        prompt_tokens=record["prompt_tokens"],
        output_tokens=record["output_tokens"],
        home=record.get("home"),
        engines=tuple(EngineId(engine) for engine in record["engines"]),
        threads=MappingProxyType({call.id: call for call in calls}),
        last_arrival_at=_stamp(record.get("last_arrival_at")),
        last_completion_at=_stamp(record.get("last_completion_at")),
        ended_at=_stamp(record.get("ended_at")),
        expired_at=_stamp(record.get("expired_at")),
    )


def _call(call: CallId, record: Record) -> Call:
    return Call(
        id=call,
        fence=record["fence"],
        arrived_at=float(record["arrived_at"]),
        inherited_s=float(record["inherited_s"]),
        lease_until=float(record["lease_until"]),
        engine=record.get("engine"),
        wait_s=float(record["wait_s"]),
        service_s=float(record["service_s"]),
    )


def _stamp(value: float | None) -> float | None:
    return None if value is None else float(value)
