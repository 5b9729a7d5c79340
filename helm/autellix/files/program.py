"""`helm test`: a program of two calls through the gateway, whose process table must account for it."""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import Any

BASE_URL = os.environ["AUTELLIX_BASE_URL"]
KEY = os.environ.get("AUTELLIX_API_KEYS", "").split(",")[0] or "helm-test"
TIMEOUT_S = float(os.environ["TIMEOUT_S"])


def ask(method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Any:
    """One request to the gateway; its answer as JSON. Raises HTTPError for anything but success."""
    request = urllib.request.Request(
        BASE_URL + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"authorization": f"Bearer {KEY}", "content-type": "application/json", **(headers or {})},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        return json.load(answer)


def served_model() -> str:
    """The model to ask for: the one that is named, else the first that is served, waited for while pools come up."""
    until = time.monotonic() + TIMEOUT_S / 2
    while not (named := os.environ.get("MODEL") or next((each["id"] for each in ask("GET", "/models")["data"]), "")):
        if time.monotonic() > until:
            sys.exit("The gateway serves no model: add a pool (values, pools), and look at kubectl get enginepools.")
        time.sleep(1)
    return named


def program() -> None:
    """Open a session, send two calls, see that its service grew with each, end it."""
    model = served_model()
    session = ask("POST", "/sessions", {"model": model})
    print(f"session {session['id']} for model {model}")
    mark = {"x-autellix-session": session["token"]}
    service = 0.0
    for number in (1, 2):
        question = {"model": model, "max_tokens": 16, "messages": [{"role": "user", "content": f"Call {number}."}]}
        ask("POST", "/chat/completions", question, mark)
        now = ask("GET", f"/sessions/{session['id']}")
        if now["calls"] != number or now["service_seconds"] <= service:
            sys.exit(f"After call {number} the process table has {now['calls']} calls and {now['service_seconds']} s.")
        service = now["service_seconds"]
        print(f"call {number}: the program has had {service:.3f} s of service")
    ended = ask("DELETE", f"/sessions/{session['id']}")
    if ended["state"] != "ended":
        sys.exit(f"The session was ended, yet its state is {ended['state']}.")
    print("ended")


if __name__ == "__main__":
    try:
        program()
    except urllib.error.HTTPError as error:
        sys.exit(f"The gateway answered {error.code} to {error.url}: {error.read().decode(errors='replace')[:500]}")
    except OSError as error:
        sys.exit(f"The gateway at {BASE_URL} was not reached ({error}): look at its pods.")
