"""What a test does with a cluster, whichever it is: kubectl, helm, and a namespace for itself."""

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster_binaries import Binaries

__all__ = ["Cluster", "Refused"]

_COMMAND_S = 100.0


class Refused(Exception):
    """A command failed; the message is what it said."""


class Cluster:
    """A Kubernetes API, as its administrator."""

    def __init__(
        self,
        kubeconfig: Path,
        binaries: Binaries,
        scratch: Path,
        *,
        context: str | None = None,
        controllers: bool = True,
        before: Sequence[str] = (),
    ) -> None:
        """``scratch`` takes what kubectl and helm keep between commands, so that the user's own is left alone.

        ``before`` stands before every command, such as what enters the network namespace where the API is.
        """
        self.kubeconfig = kubeconfig
        self.context = context
        self.controllers = controllers
        """Whether controllers run: without, no Deployment gets pods and no namespace goes away."""
        self._binaries = binaries
        self._before = list(before)
        homes = ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "KUBECACHEDIR")
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HELM_")},
            **{name: str(scratch / name.lower()) for name in homes},
            "KUBECONFIG": str(kubeconfig),
        }

    def kubectl(self, *arguments: str, namespace: str | None = None, stdin: str | None = None) -> str:
        """What kubectl writes. ``-- ...`` in the arguments stays last.

        :raises Refused: if it fails.
        """
        return self._run("kubectl", "--context", [*self._place(namespace), *arguments], stdin)

    def helm(self, *arguments: str, namespace: str | None = None, stdin: str | None = None) -> str:
        """What helm writes.

        :raises Refused: if it fails.
        """
        return self._run("helm", "--kube-context", [*arguments, *self._place(namespace)], stdin)

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """An object; None if there is none of that name."""
        wanted = ("get", kind, name, "--output=json", "--ignore-not-found")
        text = self.kubectl(*wanted, namespace=namespace)
        found: dict[str, Any] | None = json.loads(text) if text.strip() else None
        return found

    def objects(self, kind: str, namespace: str | None = None, *, labels: str = "") -> list[dict[str, Any]]:
        """All objects of a kind, or those with the labels (``a=b,c!=d``), in the namespace or, without one, in all."""
        where = () if namespace else ("--all-namespaces",)
        text = self.kubectl("get", kind, *where, f"--selector={labels}", "--output=json", namespace=namespace)
        items: list[dict[str, Any]] = json.loads(text)["items"]
        return items

    def apply(self, *objects: Mapping[str, Any], namespace: str | None = None) -> None:
        """Make these objects, or change them to this, on the server's side.

        :raises Refused: with what the API server said.
        """
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", namespace=namespace, stdin=text)

    def delete(self, kind: str, name: str, namespace: str | None = None, *, wait: bool = True) -> None:
        """Delete an object; if it is gone already that is fine."""
        self.kubectl("delete", kind, name, "--ignore-not-found", f"--wait={str(wait).lower()}", namespace=namespace)

    def wait(self, condition: str, *what: str, namespace: str | None = None, within_s: float = 90) -> None:
        """Wait for a condition, such as ``condition=Available`` of ``deployment/name``, as ``kubectl wait`` takes them.

        :raises Refused: if it did not come about.
        """
        self.kubectl("wait", f"--for={condition}", f"--timeout={within_s:.0f}s", *what, namespace=namespace)

    def until(self, what: str, holds: Callable[[], Any], *, within_s: float = 60, every_s: float = 0.25) -> Any:
        """Look until ``holds`` gives something true, and give that; a refusal meanwhile counts as not yet."""
        deadline = time.monotonic() + within_s
        while True:
            refused = ""
            try:
                if found := holds():
                    return found
            except Refused as error:
                refused = f" At last: {error}"
            if time.monotonic() > deadline:
                raise AssertionError(f"{within_s:.0f} s passed before {what}.{refused}")
            time.sleep(every_s)

    @contextmanager
    def namespace(self, about: str = "test") -> Iterator[str]:
        """A namespace of a new name that begins with ``about``; it is deleted on leaving, with all that is in it."""
        name = f"{about}-{secrets.token_hex(3)}"
        self.kubectl("create", "namespace", name)
        try:
            if self.controllers:  # until then no pod may be made in it
                self.until("there was a service account", lambda: self.get("serviceaccount", "default", name))
            yield name
        finally:
            self.delete("namespace", name, wait=False)

    def popen(self, *arguments: str, namespace: str | None = None) -> subprocess.Popen[str]:
        """A kubectl that goes on, such as ``port-forward``; whoever starts it ends it."""
        return subprocess.Popen(
            self._command("kubectl", "--context", [*self._place(namespace), *arguments]),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @contextmanager
    def forwarded(self, target: str, port: int, namespace: str) -> Iterator[str]:
        """``http://127.0.0.1:...``, where a port of a pod or of ``service/name`` is reached while this lasts."""
        process = self.popen("port-forward", target, f":{port}", "--address=127.0.0.1", namespace=namespace)
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line.startswith("Forwarding from "):
                process.terminate()
                raise Refused(f"kubectl port-forward {target}: {line}{process.stdout.read()}")
            yield "http://" + line.split()[2]
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def _place(self, namespace: str | None) -> Iterable[str]:
        return () if namespace is None else (f"--namespace={namespace}",)

    def _command(self, program: str, context_flag: str, arguments: list[str]) -> list[str]:
        context = [] if self.context is None else [f"{context_flag}={self.context}"]
        return [*self._before, str(self._binaries.path(program)), *context, *arguments]

    def _run(self, program: str, context_flag: str, arguments: list[str], stdin: str | None) -> str:
        done = subprocess.run(
            self._command(program, context_flag, arguments),
            env=self._environment,
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )
        if done.returncode:
            raise Refused(f"{program} {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout
