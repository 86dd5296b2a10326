"""A Kubernetes of one node: etcd, api server, controllers, scheduler, containerd, kubelet, proxy.

Runs inside the namespaces that `sealed` makes; every process ends with them. Names of Services are
answered by a small DNS server, for nothing of Kubernetes itself does that.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable

ADDRESS = "192.0.2.10"
PODS = "10.244.0.0/24"
SERVICES = "10.96.0.0/16"


def until(condition: Callable[[], Any], seconds: float, what: str, pause: float = 0.5) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what} (last: {value!r})"
        time.sleep(pause)


class Node:
    def __init__(self, work: Path):
        self.work = work
        self.programs = Path(os.environ["EVENTRELAY_KUBERNETES"])
        self.tools = Path(os.environ["EVENTRELAY_CHART_TOOLS"])
        self.kubeconfig = work / "kubeconfig"
        self.processes: dict[str, subprocess.Popen] = {}

    # -- commands --

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        answer = subprocess.run(
            [self.tools / "kubectl", "--kubeconfig", self.kubeconfig, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert not check or answer.returncode == 0, f"kubectl {arguments}: {answer.stderr}"
        return answer.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def helm(self, major: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.tools / f"helm{major}", "--kubeconfig", self.kubeconfig, *arguments],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env=os.environ
            | {
                "HELM_CACHE_HOME": str(self.work / "helm"),
                "HELM_CONFIG_HOME": str(self.work / "helm"),
                "HELM_DATA_HOME": str(self.work / "helm"),
            },
        )

    # -- its parts --

    def spawn(self, name: str, *command: str | Path) -> None:
        with (self.work / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def start(self) -> None:
        self.files()
        self.spawn(
            "etcd",
            "etcd",
            "--data-dir",
            self.work / "etcd",
            "--listen-client-urls",
            "http://127.0.0.1:2379",
            "--advertise-client-urls",
            "http://127.0.0.1:2379",
            "--listen-peer-urls",
            "http://127.0.0.1:2380",
        )
        self.spawn("containerd", "containerd", "--config", self.work / "containerd.toml")
        self.spawn(
            "apiserver",
            self.programs / "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:2379",
            "--secure-port=6443",
            f"--advertise-address={ADDRESS}",
            f"--cert-dir={self.work / 'api'}",
            f"--service-cluster-ip-range={SERVICES}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.work / 'account.key'}",
            f"--service-account-signing-key-file={self.work / 'account.key'}",
            f"--token-auth-file={self.work / 'tokens'}",
            "--authorization-mode=AlwaysAllow",
            "--kubelet-preferred-address-types=InternalIP",
        )
        self.ready(lambda: self.kubectl("get", "--raw", "/readyz", check=False) == "ok", 90, "api")
        self.images()
        same = f"--kubeconfig={self.kubeconfig}"
        self.spawn(
            "controllers",
            self.programs / "kube-controller-manager",
            same,
            f"--service-account-private-key-file={self.work / 'account.key'}",
            f"--root-ca-file={self.work / 'api/apiserver.crt'}",
            "--leader-elect=false",
            "--node-monitor-grace-period=60s",
        )
        self.spawn("scheduler", self.programs / "kube-scheduler", same, "--leader-elect=false")
        self.spawn(
            "kubelet",
            self.programs / "kubelet",
            same,
            f"--config={self.work / 'kubelet.yaml'}",
            f"--root-dir={self.work / 'kubelet'}",
            f"--cert-dir={self.work / 'kubelet-pki'}",
            "--hostname-override=node",
            f"--node-ip={ADDRESS}",
        )
        self.spawn(
            "proxy",
            self.programs / "kube-proxy",
            f"--config={self.work / 'proxy.yaml'}",
            "--hostname-override=node",
        )
        threading.Thread(target=self.names, daemon=True).start()
        self.ready(self.node_ready, 120, "the node")

    def ready(self, condition: Callable[[], Any], seconds: float, what: str) -> None:
        def asked() -> Any:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    log = (self.work / f"{name}.log").read_text(errors="replace")[-3000:]
                    raise AssertionError(f"{name} ended with {process.returncode}:\n{log}")
            return condition()

        until(asked, seconds, f"{what} is ready")

    def node_ready(self) -> bool:
        nodes = json.loads(self.kubectl("get", "nodes", "-o", "json", check=False) or "{}")
        return any(
            c["type"] == "Ready" and c["status"] == "True"
            for n in nodes.get("items", [])
            for c in n["status"]["conditions"]
        )

    def images(self) -> None:
        answer = subprocess.run(
            [
                "ctr",
                "--address",
                str(self.work / "containerd.sock"),
                "--namespace",
                "k8s.io",
                "images",
                "import",
                str(self.work / "images.tar"),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr

    # -- configuration --

    def files(self) -> None:
        work = self.work
        subprocess.run(
            ["openssl", "genrsa", "-out", work / "account.key", "2048"],
            check=True,
            capture_output=True,
        )
        (work / "tokens").write_text("admin,admin,1,system:masters\n")
        self.kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "it",
                    "clusters": [
                        {
                            "name": "it",
                            "cluster": {
                                "server": "https://127.0.0.1:6443",
                                "insecure-skip-tls-verify": True,
                            },
                        }
                    ],
                    "users": [{"name": "it", "user": {"token": "admin"}}],
                    "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
                }
            )
        )
        (work / "cni").mkdir()
        (work / "cni/10-it.conflist").write_text(
            json.dumps(
                {
                    "cniVersion": "0.4.0",
                    "name": "it",
                    "plugins": [
                        {
                            "type": "bridge",
                            "bridge": "cni0",
                            "isGateway": True,
                            "hairpinMode": True,
                            "ipam": {
                                "type": "host-local",
                                "dataDir": str(work / "ipam"),
                                "ranges": [[{"subnet": PODS}]],
                                "routes": [{"dst": "0.0.0.0/0"}],
                            },
                        },
                        {"type": "portmap", "capabilities": {"portMappings": True}},
                    ],
                }
            )
        )
        (work / "containerd.toml").write_text(CONTAINERD.format(work=work))
        (work / "resolv.conf").write_text(f"nameserver {ADDRESS}\n")
        (work / "kubelet.yaml").write_text(
            json.dumps(
                {
                    "apiVersion": "kubelet.config.k8s.io/v1beta1",
                    "kind": "KubeletConfiguration",
                    "authentication": {
                        "anonymous": {"enabled": True},
                        "webhook": {"enabled": False},
                    },
                    "authorization": {"mode": "AlwaysAllow"},
                    "containerRuntimeEndpoint": f"unix://{work}/containerd.sock",
                    "cgroupDriver": "cgroupfs",
                    "failCgroupV1": False,
                    "failSwapOn": False,
                    "oomScoreAdj": 0,
                    "enforceNodeAllocatable": [],
                    "localStorageCapacityIsolation": False,
                    "clusterDNS": [ADDRESS],
                    "clusterDomain": "cluster.local",
                    "resolvConf": str(work / "resolv.conf"),
                    "volumePluginDir": str(work / "plugins"),
                    "evictionHard": {"memory.available": "100Mi"},
                    "syncFrequency": "10s",
                }
            )
        )
        (work / "proxy.yaml").write_text(
            json.dumps(
                {
                    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
                    "kind": "KubeProxyConfiguration",
                    "mode": "iptables",
                    "clientConnection": {"kubeconfig": str(self.kubeconfig)},
                    "clusterCIDR": PODS,
                    # Without br_netfilter an answer between two pods would pass by the translation.
                    "iptables": {"masqueradeAll": True},
                    "conntrack": {
                        "maxPerCore": 0,
                        "min": 0,
                        "tcpEstablishedTimeout": "0s",
                        "tcpCloseWaitTimeout": "0s",
                    },
                }
            )
        )

    # -- names --

    def names(self) -> None:
        """Answers `<service>.<namespace>.svc.cluster.local` with its address, else with none."""
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((ADDRESS, 53))
        while True:
            question, peer = server.recvfrom(512)
            labels, place = [], 12
            while question[place]:
                labels.append(question[place + 1 : place + 1 + question[place]].decode().lower())
                place += question[place] + 1
            kind = struct.unpack(">H", question[place + 1 : place + 3])[0]
            body = question[12 : place + 5]
            address = self.address_of(labels)
            flags = 0x8180 if address else 0x8183
            answer = b""
            if address and kind == 1:
                answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + socket.inet_aton(address)
            head = question[:2] + struct.pack(">HHHHH", flags, 1, 1 if answer else 0, 0, 0)
            server.sendto(head + body + answer, peer)

    def address_of(self, labels: list[str]) -> str | None:
        if labels[2:] != ["svc", "cluster", "local"]:
            return None
        address = self.kubectl(
            "-n",
            labels[1],
            "get",
            "service",
            labels[0],
            "-o",
            "jsonpath={.spec.clusterIP}",
            check=False,
        ).strip()
        return address if address and address != "None" else None


CONTAINERD = """\
version = 2
root = "{work}/containerd/root"
state = "{work}/containerd/state"
[grpc]
  address = "{work}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{work}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""
