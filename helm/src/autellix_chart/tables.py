"""The values of the process table's Redis, in the cluster or outside."""

from pydantic import Field

from autellix_chart.parts import Image, KubernetesObject, Name, Part, Workload

__all__ = ["ExternalRedis", "Redis"]

_Quantity = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"


class RedisAuth(Part):
    """The bundled Redis' password."""

    existing_secret: Name = ""
    """A Secret of yours that holds it; empty: one is generated, and kept over upgrades."""
    password_key: str = Field("password", min_length=1)
    """Its key in the Secret."""


class Persistence(Part):
    """Whether programs outlive the Redis pod."""

    enabled: bool = True
    """An append-only file on a volume; off: programs are forgotten when the pod goes."""
    size: str = Field("2Gi", pattern=_Quantity)
    """Of the volume."""
    storage_class: str = ""
    """Empty: the cluster's default."""
    existing_claim: Name = ""
    """A PersistentVolumeClaim of yours instead."""
    when_deleted: str = Field("Retain", pattern="^(Retain|Delete)$")
    """What becomes of the volume's claim after `helm uninstall`."""


class Redis(Workload):
    """The bundled Redis, for one release: one pod, restarted where it was."""

    enabled: bool = True
    """Off: `externalRedis` is used."""
    image: Image = Image(registry="docker.io", repository="library/redis", tag="8.2")
    """Redis 6.2 or later, or Valkey; here `imageRegistry` does not count."""
    auth: RedisAuth = RedisAuth()
    """Its password."""
    persistence: Persistence = Persistence()
    """Its volume."""
    maxmemory: str = Field("", pattern=r"^([0-9]+(kb|mb|gb|k|m|g)?)?$")
    """Beyond it writes are refused, and calls are served without the table; nothing is ever evicted. Empty: no bound
    but the container's."""
    resources: KubernetesObject = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
    """Requests and limits of the container."""
    pod_security_context: KubernetesObject = {
        "runAsNonRoot": True,
        "runAsUser": 999,
        "runAsGroup": 999,
        "fsGroup": 999,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    """Of the pod; the numbers are those of the official image."""


class Tls(Part):
    """How the connection to an external Redis is secured."""

    enabled: bool = False
    """Whether it is."""
    ca_secret: Name = ""
    """A Secret with the certificate of the authority that signed the server's; empty: the public ones."""
    ca_key: str = Field("ca.crt", min_length=1)
    """Its key in the Secret."""


class ExternalRedis(Part):
    """A Redis of yours; takes `redis.enabled: false`."""

    url: str = Field("", pattern=r"^(rediss?://[^\s]+)?$")
    """`redis://HOST:PORT/DB` or `rediss://...`, without a password; or else `host`."""
    host: str = Field("", pattern=r"^[A-Za-z0-9.:-]*$")
    """Name or address."""
    port: int = Field(6379, ge=1, le=65535)
    """Its port."""
    username: str = ""
    """Where it has users."""
    database: int = Field(0, ge=0)
    """Number of the database."""
    existing_secret: Name = ""
    """A Secret with the password; empty: it has none."""
    password_key: str = Field("password", min_length=1)
    """The password's key in the Secret."""
    url_key: str = ""
    """The key of a whole URL in the Secret, password included, instead of all above."""
    tls: Tls = Tls()
    """How the connection is secured."""
