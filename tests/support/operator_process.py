"""The operator as a process on a real API server, with no more rights than it says it needs, and a scripted gateway."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

import autellix_operator
from operator_gateway import ScriptedGateway, serving

__all__ = ["KEY", "OperatorProcess", "gateway_in_a_thread", "rights"]

KEY = "operator-key"
_RBAC = Path(autellix_operator.__file__).parent / "rbac.yaml"
_STOP_S = 30.0


@contextmanager
def gateway_in_a_thread(gateway: ScriptedGateway) -> Iterator[str]:
    """Its base URL, while tests that do not await look at it."""
    ready, stop = threading.Event(), asyncio.Event()
    found: list[Any] = []

    async def body() -> None:
        async with serving(gateway, key=KEY) as url:
            found[:] = [url, asyncio.get_running_loop()]
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(body()), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield found[0]
    finally:
        found[1].call_soon_threadsafe(stop.set)
        thread.join()


def rights(user: str, namespace: str) -> list[Mapping[str, Any]]:
    """Role and RoleBinding that let a user do what ``rbac.yaml`` lists, in one namespace."""
    listed = yaml.safe_load(_RBAC.read_text())
    named = {"name": "operator", "namespace": namespace}
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": named,
        "rules": listed["served"] + listed["own"],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": named,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
    return [role, binding]


class OperatorProcess:
    """One replica. Its output is in ``log``."""

    def __init__(
        self, kubeconfig: Path, log: Path, *, namespace: str, gateway_url: str, identity: str, **flags: Any
    ) -> None:
        self.log = log
        wanted = {
            "own_namespace": namespace,
            "gateway_url": gateway_url,
            "identity": identity,
            "health_host": "127.0.0.1",
            "health_port": 0,
            "poll_interval_s": 0.2,
            "status_interval_s": 0.5,
            "lease_s": 3,
            **flags,
        }
        arguments = [
            f"--{name.replace('_', '-')}" if value is True else f"--{name.replace('_', '-')}={value}"
            for name, value in wanted.items()
        ]
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AUTELLIX_", "KUBERNETES_"))},
            "KUBECONFIG": str(kubeconfig),
            "AUTELLIX_OPERATOR_KEY": KEY,
        }
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "autellix_operator", *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def stop(self) -> int:
        """SIGTERM, and its exit status. Fails the test if it does not end."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_STOP_S)

    def kill(self) -> None:
        """SIGKILL: it says goodbye to nobody."""
        self._process.kill()
        self._process.wait(_STOP_S)

    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None
