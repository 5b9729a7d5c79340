"""A control plane of our own: etcd, API server, controllers and scheduler, as processes of whoever runs the tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cluster_access import Cluster, Refused
from cluster_binaries import Binaries
from cluster_identities import Authority, Identity
from cluster_processes import Processes, free_ports

__all__ = ["ControlPlane", "Place", "on_loopback"]

_READY_S = 120.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the API server listens, and how it is known."""

    port: int
    advertised: str
    bound: str
    services: str
    """The network that Services get their addresses from."""
    first_service: str
    """Its first address, the API's own Service."""
    etcd: int
    etcd_peers: int
    controllers: int
    scheduler: int
    flags: tuple[str, ...] = ()
    """More, for the API server."""

    @property
    def url(self) -> str:
        """Where the parts beside it find it."""
        return f"https://127.0.0.1:{self.port}"


def on_loopback() -> Place:
    """Free ports of this machine's own loopback."""
    port, etcd, peers, controllers, scheduler = free_ports(5)
    return Place(
        port=port,
        advertised="127.0.0.1",
        bound="127.0.0.1",
        services="198.18.64.0/20",
        first_service="198.18.64.1",
        etcd=etcd,
        etcd_peers=peers,
        controllers=controllers,
        scheduler=scheduler,
        flags=("--endpoint-reconciler-type=none",),  # an endpoint on loopback is refused
    )


@dataclass
class ControlPlane:
    """Started by :meth:`running`."""

    folder: Path
    binaries: Binaries
    processes: Processes
    place: Place
    reached_with: tuple[str, ...] = ()
    """What stands before a command that is to reach the API server, such as what enters its network namespace."""
    authority: Authority = field(init=False)
    _server: Identity = field(init=False)
    _kubelets: Identity = field(init=False)

    def __post_init__(self) -> None:
        self.authority = Authority(self.folder / "identities", self.binaries)
        api = "kubernetes.default.svc"
        names = ["localhost", "kubernetes", "kubernetes.default", api, f"{api}.cluster.local"]
        addresses = {"127.0.0.1", self.place.advertised, self.place.first_service}
        hosts = [*(f"DNS:{name}" for name in names), *(f"IP:{address}" for address in sorted(addresses))]
        self._server = self.authority.server("kube-apiserver", hosts)
        self._kubelets = self.authority.client("to-kubelets", "system:masters")
        self.kubeconfig = self.kubeconfig_for("admin", "system:masters")

    def kubeconfig_for(self, user: str, group: str = "") -> Path:
        """A new file with which that user reaches the API."""
        path = self.folder / f"{user.replace(':', '-')}.kubeconfig"
        return self.authority.kubeconfig(path, self.authority.client(user, group), self.place.url)

    @contextmanager
    def running(self) -> Iterator[Cluster]:
        """Start all that the binaries hold and give access; all of it has ended on leaving."""
        try:
            self._start_etcd()
            self.start_api_server()
            controllers = self._start_controllers()
            yield self.access(self.kubeconfig, controllers=controllers)
        finally:
            self.processes.stop_all()

    def access(self, kubeconfig: Path, *, controllers: bool = True) -> Cluster:
        """For tests, with this file."""
        scratch = self.folder / "scratch"
        return Cluster(kubeconfig, self.binaries, scratch, controllers=controllers, before=self.reached_with)

    def start_api_server(self) -> None:
        """Start it and wait until it is ready; what it knew before it knows again."""
        self.processes.start(
            "kube-apiserver",
            self.binaries.path("kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{self.place.etcd}",
            f"--advertise-address={self.place.advertised}",
            f"--bind-address={self.place.bound}",
            f"--secure-port={self.place.port}",
            f"--service-cluster-ip-range={self.place.services}",
            f"--cert-dir={self.folder / 'apiserver'}",
            f"--tls-cert-file={self._server.certificate}",
            f"--tls-private-key-file={self._server.key}",
            f"--client-ca-file={self.authority.identity.certificate}",
            f"--kubelet-client-certificate={self._kubelets.certificate}",
            f"--kubelet-client-key={self._kubelets.key}",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.authority.accounts_key}",
            f"--service-account-signing-key-file={self.authority.accounts_key}",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged",
            *self.place.flags,
        )
        self.processes.wait_for("kube-apiserver", "the API was ready", self._ready, within_s=_READY_S)

    def stop_api_server(self) -> None:
        """End it; etcd keeps what it knows."""
        self.processes.stop("kube-apiserver")

    @contextmanager
    def api_server_away(self) -> Iterator[None]:
        """While this lasts nobody reaches the API."""
        self.stop_api_server()
        try:
            yield
        finally:
            self.start_api_server()

    def _start_etcd(self) -> None:
        clients, peers = (f"http://127.0.0.1:{port}" for port in (self.place.etcd, self.place.etcd_peers))
        self.processes.start(
            "etcd",
            self.binaries.path("etcd"),
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            "--unsafe-no-fsync",  # nobody needs it after a crash of the machine
            "--log-level=error",
        )

    def _start_controllers(self) -> bool:
        """Controllers and scheduler; False if the binaries have none. They would end if the API was not ready yet."""
        found = {name: self.binaries.find(name) for name in ("kube-controller-manager", "kube-scheduler")}
        ports = {"kube-controller-manager": self.place.controllers, "kube-scheduler": self.place.scheduler}
        authority = self.authority.identity
        flags = {
            "kube-controller-manager": (
                "--use-service-account-credentials",
                f"--root-ca-file={authority.certificate}",
                f"--service-account-private-key-file={self.authority.accounts_key}",
                f"--cluster-signing-cert-file={authority.certificate}",
                f"--cluster-signing-key-file={authority.key}",
            ),
            "kube-scheduler": (),
        }
        if None in found.values():
            return False
        for name, program in found.items():
            assert program is not None
            own = self.kubeconfig_for(f"system:{name}")
            self.processes.start(
                name,
                program,
                f"--kubeconfig={own}",
                f"--authentication-kubeconfig={own}",
                f"--authorization-kubeconfig={own}",
                "--bind-address=127.0.0.1",
                f"--secure-port={ports[name]}",
                "--leader-elect=false",
                *flags[name],
            )
        return True

    def _ready(self) -> bool:
        try:
            return self.access(self.kubeconfig).kubectl("get", "--raw", "/readyz") == "ok"
        except Refused:
            return False
