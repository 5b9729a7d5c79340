"""The operator's settings: flags, environment (``AUTELLIX_OPERATOR_*``), the defaults here. Read once, at start."""

import socket
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

__all__ = ["EVERYWHERE", "Settings"]

EVERYWHERE = "*"
"""As the only namespace: all of the cluster."""

_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def _own_namespace() -> str:
    try:
        return _OWN_NAMESPACE.read_text().strip()
    except OSError:
        return "default"


class Settings(BaseSettings):
    """Everything that can be set. Times are seconds."""

    model_config = SettingsConfigDict(
        env_prefix="AUTELLIX_OPERATOR_",
        extra="forbid",
        cli_parse_args=False,
        cli_kebab_case=True,
        cli_prog_name="python -m autellix_operator",
        cli_implicit_flags=True,
        env_ignore_empty=True,
    )

    namespaces: Annotated[tuple[str, ...], NoDecode] = ()
    """Namespaces that are served, separated by commas. Unset: the operator's own; ``*``: all of the cluster."""
    own_namespace: str = Field(default_factory=_own_namespace, min_length=1)
    """Where the operator runs: its lease is there, and the objects of programs that live over HTTP."""
    gateway_url: str = "http://127.0.0.1:8080"
    """Base URL of the gateways' Service."""
    key: SecretStr | None = None
    """Shown to the gateways (``AUTELLIX_OPERATOR_KEY``); the same as theirs."""
    session_url: str = ""
    """What a session's Secret gives as ``url``. Unset: ``gateway_url`` and ``/v1``."""
    session_token_ttl_s: float = Field(86_400.0, gt=0)
    """How long the gateways' session tokens are good for; one is renewed when half of that has passed."""
    gateway_timeout_s: float = Field(5.0, gt=0)
    """How long a gateway may take to answer."""
    poll_interval_s: float = Field(2.0, gt=0)
    """How often the gateways are asked for programs and pools."""
    status_interval_s: float = Field(5.0, gt=0)
    """The status of an object is written at most once in so long."""
    writes_per_s: float = Field(50.0, gt=0)
    """Writes to the API server, all together; what waits longest is written first."""
    mirror_after_s: float = Field(60.0, ge=0)
    """Programs that live over HTTP are shown as objects once they are so old, or at once where they asked for it."""
    mirror_at_most: int = Field(1000, ge=0)
    """How many of those there are; 0 shows none."""
    keep_ended_s: float = Field(600.0, ge=0)
    """How long such an object stays after its program has ended."""
    starved_ratio: float = Field(4.0, gt=0)
    """A program is starved that waited so many times as long as it was served ..."""
    starved_after_s: float = Field(10.0, ge=0)
    """... and at least so long."""
    finalize_within_s: float = Field(30.0, ge=0)
    """How long deleting a ProgramSession waits for gateways that do not answer."""
    resync_s: float = Field(300.0, gt=0)
    """How often all objects are listed, for what a broken watch may have missed."""
    lease_name: str = Field("autellix-operator", pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)
    """The Lease that one of the replicas holds."""
    lease_s: float = Field(15.0, ge=3)
    """A replica that did not renew the Lease for so long no longer leads."""
    identity: str = Field(default_factory=socket.gethostname, min_length=1)
    """Which replica this is."""
    health_host: str = "0.0.0.0"  # noqa: S104 - the kubelet asks from outside of the pod
    """Address of ``/healthz`` and ``/metrics``."""
    health_port: int = Field(8081, ge=0, le=65535)
    """Their port."""
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")
    """Least severity that is logged."""
    release: bool = False
    """Take the operator's finalizers off every object and end, as before an uninstallation."""

    @field_validator("namespaces", mode="before")
    @classmethod
    def _split(cls, given: object) -> object:
        if isinstance(given, list) and len(given) == 1 and isinstance(given[0], str):
            given = given[0]
        return [part.strip() for part in given.split(",") if part.strip()] if isinstance(given, str) else given

    @field_validator("gateway_url", "session_url")
    @classmethod
    def _url(cls, given: str) -> str:
        if given and not given.startswith(("http://", "https://")):
            raise ValueError(f"a gateway is given by its base URL, such as http://autellix-gateway:8080, not {given!r}")
        return given.rstrip("/")

    @model_validator(mode="after")
    def _everywhere_alone(self) -> Self:
        if EVERYWHERE in self.namespaces and len(self.namespaces) > 1:
            raise ValueError("namespaces is either * or a list of names, not both")
        return self

    @property
    def everywhere(self) -> bool:
        """Whether all namespaces are served."""
        return self.namespaces == (EVERYWHERE,)

    @property
    def served(self) -> tuple[str, ...]:
        """The namespaces to list and watch; ("",) stands for all."""
        return ("",) if self.everywhere else self.namespaces or (self.own_namespace,)

    @property
    def mirror_namespace(self) -> str:
        """Where programs that live over HTTP are shown: in the operator's own namespace, if it serves that."""
        if self.everywhere or self.own_namespace in self.served:
            return self.own_namespace
        return self.served[0]

    @property
    def url_for_sessions(self) -> str:
        """Base URL for agents' clients."""
        return self.session_url or f"{self.gateway_url}/v1"
