"""The certificates that the parts of a cluster know each other by, made with openssl for one test run."""

import base64
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster_binaries import Binaries

__all__ = ["Authority", "Identity"]

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_DAYS = ("-days", "30")


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """Vouches for the parts of one cluster."""

    def __init__(self, folder: Path, binaries: Binaries) -> None:
        self._folder = folder
        self._openssl = str(binaries.path("openssl"))
        folder.mkdir(parents=True, exist_ok=True)
        self.identity = Identity(folder / "ca.crt", folder / "ca.key")
        self.accounts_key = folder / "service-accounts.key"
        """What the tokens of service accounts are signed with."""
        self._run(
            *("req", "-x509", *_KEY, *_DAYS, "-subj", "/CN=autellix-test"),
            *("-keyout", str(self.identity.key), "-out", str(self.identity.certificate)),
        )
        self._run("genrsa", "-out", str(self.accounts_key), "2048")

    def server(self, name: str, hosts: Sequence[str]) -> Identity:
        """Somebody who is asked at these names (``DNS:...``) and addresses (``IP:...``)."""
        return self._signed(name, f"/CN={name}", f"extendedKeyUsage=serverAuth\nsubjectAltName={','.join(hosts)}\n")

    def client(self, user: str, group: str = "") -> Identity:
        """Somebody who asks, as this Kubernetes user of this group."""
        subject = f"/O={group}/CN={user}" if group else f"/CN={user}"
        return self._signed(user.replace(":", "-"), subject, "extendedKeyUsage=clientAuth\n")

    def kubeconfig(self, path: Path, who: Identity, server: str) -> Path:
        """Write the file with which ``who`` finds the API server, and is known to it."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "autellix-test",
            "contexts": [{"name": "autellix-test", "context": {"cluster": "autellix-test", "user": "me"}}],
            "clusters": [
                {
                    "name": "autellix-test",
                    "cluster": {"server": server, "certificate-authority-data": _base64(self.identity.certificate)},
                }
            ],
            "users": [
                {
                    "name": "me",
                    "user": {
                        "client-certificate-data": _base64(who.certificate),
                        "client-key-data": _base64(who.key),
                    },
                }
            ],
        }
        path.write_text(json.dumps(content))  # any JSON is YAML too
        path.chmod(0o600)
        return path

    def _signed(self, name: str, subject: str, extensions: str) -> Identity:
        made = Identity(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        request, wanted = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        wanted.write_text(extensions)
        self._run("req", *_KEY, "-subj", subject, "-keyout", str(made.key), "-out", str(request))
        authority = ("-CA", str(self.identity.certificate), "-CAkey", str(self.identity.key), "-CAcreateserial")
        own = ("-in", str(request), "-extfile", str(wanted), "-out", str(made.certificate))
        self._run("x509", "-req", *authority, *_DAYS, *own)
        return made

    def _run(self, *arguments: str) -> None:
        subprocess.run([self._openssl, *arguments], check=True, capture_output=True)


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
