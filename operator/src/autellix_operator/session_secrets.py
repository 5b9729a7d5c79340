"""The Secret that an agent mounts: a session's token, its program's id, the URL to send calls to. Pure."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from autellix_operator.cluster import FIELD_MANAGER, SECRET, owned_by

__all__ = ["ISSUED_AT", "MANAGED_BY", "is_good", "is_ours", "secret_for", "secret_name"]

ISSUED_AT = "autellix.dev/token-issued-at"
MANAGED_BY = "app.kubernetes.io/managed-by"


def secret_name(session: Mapping[str, Any]) -> str:
    """Of the session's Secret."""
    return f"{session['metadata']['name']}-session"


def secret_for(session: Mapping[str, Any], *, program: str, token: str, url: str, now: str) -> dict[str, Any]:
    """The Secret to apply; ``now`` is RFC 3339."""
    values = {"token": token, "id": program, "url": url}
    return {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.kind,
        "metadata": {
            "namespace": session["metadata"]["namespace"],
            "name": secret_name(session),
            "labels": {
                "app.kubernetes.io/name": "autellix",
                "app.kubernetes.io/component": "operator",
                MANAGED_BY: FIELD_MANAGER,
            },
            "annotations": {ISSUED_AT: now},
            "ownerReferences": owned_by(session),
        },
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in values.items()},
    }


def is_ours(secret: Mapping[str, Any]) -> bool:
    """Whether the operator made it, for this session or for an earlier one of the name."""
    return (secret["metadata"].get("labels") or {}).get(MANAGED_BY) == FIELD_MANAGER


def is_good(
    secret: Mapping[str, Any], session: Mapping[str, Any], *, program: str, url: str, now: str, renew_after_s: float
) -> bool:
    """Whether it holds all it should, of this very session, and a token that is not too old."""
    metadata, data = secret["metadata"], secret.get("data") or {}
    owners = [owner["uid"] for owner in metadata.get("ownerReferences") or ()]
    wanted = {"id": program, "url": url}
    if owners != [session["metadata"]["uid"]] or metadata.get("deletionTimestamp") or not data.get("token"):
        return False
    if any(data.get(name) != base64.b64encode(value.encode()).decode() for name, value in wanted.items()):
        return False
    try:
        issued = datetime.fromisoformat((metadata.get("annotations") or {})[ISSUED_AT])
    except (KeyError, ValueError):
        return False
    return (datetime.fromisoformat(now) - issued).total_seconds() < renew_after_s
