"""Applies this release's EnginePools (`apply`), or deletes them and the sessions of its namespace (`clear`).

Runs in a Job with the operator's image and needs nothing but Python. `apply` is server-side, so replicas that an
autoscaler wrote, and whatever else the values leave open, stay as they are.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

ACCOUNT = Path(os.environ.get("ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
POOLS = Path(__file__).with_name("pools.json")
RELEASE = os.environ["RELEASE"]
API = f"/apis/autellix.dev/v1alpha1/namespaces/{os.environ['NAMESPACE']}"
OWN = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/managed-by=Helm"
KIND_WITHIN_S = 60.0
GONE_WITHIN_S = 60.0


def ask(method: str, path: str, body: object = None, *, kind: str = "application/merge-patch+json") -> Any:
    """One request to the API server; its answer as JSON, or None where there is no such thing."""
    server = os.environ.get("APISERVER") or "https://kubernetes.default.svc"
    authority = ACCOUNT / "ca.crt"
    request = urllib.request.Request(
        server + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "authorization": f"Bearer {(ACCOUNT / 'token').read_text().strip()}",
            "content-type": kind,
        },
    )
    secured = ssl.create_default_context(cafile=str(authority)) if authority.exists() else None
    try:
        with urllib.request.urlopen(request, timeout=30, context=secured) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def names(plural: str, labels: str = "") -> list[str]:
    """Of the objects of that kind with these labels; none where the kind is not there."""
    found = ask("GET", f"{API}/{plural}?{urllib.parse.urlencode({'labelSelector': labels})}")
    return [each["metadata"]["name"] for each in found["items"]] if found else []


def apply() -> None:
    """Make the pools of this namespace that carry the release's label those of pools.json."""
    pools = json.loads(POOLS.read_text())
    until = time.monotonic() + KIND_WITHIN_S
    while pools and ask("GET", f"{API}/enginepools?limit=1") is None:
        if time.monotonic() > until:
            sys.exit("The cluster does not know EnginePools: set crds.install=true, or apply the chart's CRDs.")
        time.sleep(1)
    for pool in pools:
        name = pool["metadata"]["name"]
        path = f"{API}/enginepools/{name}?fieldManager=helm&force=true"
        ask("PATCH", path, pool, kind="application/apply-patch+yaml")
        print(f"applied {name}")
    wanted = {pool["metadata"]["name"] for pool in pools}
    for name in names("enginepools", OWN):
        if name not in wanted:
            ask("DELETE", f"{API}/enginepools/{name}")
            print(f"deleted {name}")


def clear() -> None:
    """Delete the release's pools and every session of the namespace; the operator lets them go, or else this does."""
    for plural, labels in (("programsessions", ""), ("enginepools", OWN)):
        until = time.monotonic() + GONE_WITHIN_S
        while left := names(plural, labels):  # anew each time: the operator may have mirrored another program meanwhile
            late = time.monotonic() > until
            for name in left:
                ask("DELETE", f"{API}/{plural}/{name}")
                if late:
                    ask("PATCH", f"{API}/{plural}/{name}", {"metadata": {"finalizers": None}})
                    print(f"{plural}/{name} was still held after {GONE_WITHIN_S:.0f} s, and is let go")
            time.sleep(1)
        print(f"no {plural} are left")


if __name__ == "__main__":
    try:
        {"apply": apply, "clear": clear}[sys.argv[1]]()
    except urllib.error.HTTPError as error:
        sys.exit(f"The API server answered {error.code} to {error.url}: {error.read().decode(errors='replace')[:500]}")
