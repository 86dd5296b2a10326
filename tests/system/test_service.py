"""Run as a service: what a service manager, a container and a mounted configuration ask for."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Iterator

import pytest
from support.broker import DEFAULT_VERSION, Broker, free_port
from support.programs import BIN, Program
from support.stack import Stack
from support.wait import hold, until


class Manager:
    """What systemd is to a service: a datagram socket that keeps what it is told, and when."""

    def __init__(self, path: Path):
        self.path = str(path)
        self.told: list[tuple[float, dict[str, str]]] = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                text = self.socket.recv(4096).decode()
            except OSError:
                return
            pairs = dict(line.split("=", 1) for line in text.splitlines())
            self.told.append((time.monotonic(), pairs))

    def states(self) -> list[dict[str, str]]:
        """Without the watchdog's."""
        return [pairs for _, pairs in self.told if "WATCHDOG" not in pairs]

    def fed(self) -> list[float]:
        return [at for at, pairs in self.told if pairs.get("WATCHDOG") == "1"]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    one = Manager(tmp_path / "notify")
    yield one
    one.socket.close()


@pytest.mark.parametrize("service", ["ingest", "relay"])
def test_tells_the_service_manager_how_it_stands(
    stack: Stack, receiver, manager: Manager, service: str
) -> None:
    stack.add_instance(receiver)
    program = stack.start(service, env={"NOTIFY_SOCKET": manager.path}, ready=False)
    program.wait_ready()
    until(lambda: manager.states() == [{"READY": "1"}], 5, f"READY=1; told: {manager.told}")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    program.reload()
    until(lambda: len(manager.states()) >= 3, 5, f"a reload is told; told: {manager.told}")
    begin, end = manager.states()[1:3]
    assert begin["RELOADING"] == "1" and int(begin["MONOTONIC_USEC"]) >= before
    assert end == {"READY": "1"}
    assert not manager.fed(), "nobody asked for a watchdog"
    code, _ = program.end()
    assert code == 0
    assert manager.states()[-1] == {"STOPPING": "1"}


class Thread:
    """One thread of a process, to be stopped while all others go on. Of one thread of the test."""

    SEIZE, INTERRUPT, DETACH, ALL = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, pid: int, name: str):
        tasks = Path(f"/proc/{pid}/task")
        # Threads that it has begun itself bear its name until they have one of their own.
        self.number = min(
            int(task.name)
            for task in tasks.iterdir()
            if (task / "comm").read_text().strip() == name
        )
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long] * 4

    def _ask(self, what: int) -> None:
        if self.libc.ptrace(what, self.number, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace {what:#x}")

    def stop(self) -> None:
        self._ask(self.SEIZE)
        self._ask(self.INTERRUPT)
        os.waitpid(self.number, self.ALL)

    def go_on(self) -> None:
        self._ask(self.DETACH)


def shard_thread(program: Program) -> str:
    names = {task.read_text().strip() for task in Path(f"/proc/{program.pid}/task").glob("*/comm")}
    (name,) = (name for name in names if name.startswith("shard"))
    return name


@pytest.mark.alone
@pytest.mark.parametrize("service", ["ingest", "relay"])
def test_feeds_the_watchdog_only_while_every_shard_turns(
    stack: Stack, receiver, manager: Manager, service: str
) -> None:
    stack.add_instance(receiver)
    program = stack.start(service, env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "1000000"})
    until(lambda: len(manager.fed()) >= 4, 5, "the watchdog is fed")
    gaps = [b - a for a, b in zip(manager.fed(), manager.fed()[1:])]
    assert max(gaps) < 0.95, gaps
    thread = Thread(program.pid, shard_thread(program))
    thread.stop()
    try:
        until(lambda: program.get("/readyz")[0] == 503, 12, "a shard that stands is told")
        assert "a shard has not come round" in program.get("/readyz")[1]
        assert program.metric("eventrelay_ready") == 0
        fed = len(manager.fed())
        hold(3)
        assert len(manager.fed()) == fed, "the manager would not end a process that hangs"
    finally:
        thread.go_on()
    until(lambda: len(manager.fed()) > fed, 5, "the watchdog is fed again")
    program.wait_live()


# -- limits of a control group --

# The files of a control group as a container sees them: /sys/fs/cgroup and /proc/self/cgroup.
GROUPS = {
    "v2": (
        "0::/\n",
        {"cpu.max": "50000 100000\n", "memory.max": "134217728\n"},
    ),
    "v1": (
        "4:cpu,cpuacct:/kubepods/x\n3:memory:/kubepods/x\n",
        {
            "cpu,cpuacct/cpu.cfs_quota_us": "100000\n",
            "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "memory/memory.limit_in_bytes": "134217728\n",
        },
    ),
    "none": (
        "0::/\n",
        {"cpu.max": "max 100000\n", "memory.max": "max\n"},
    ),
}


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("service", ["ingest", "relay"])
def test_heeds_the_limits_of_its_control_group(
    stack: Stack, receiver, tmp_path: Path, service: str, group: str
) -> None:
    stack.add_instance(receiver)
    stack.config[service]["shards"] = 0
    own, files = GROUPS[group]
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    # In a namespace of its own the program finds these files where a container has its own.
    script = (
        f"mount --bind {tmp_path}/groups /sys/fs/cgroup && mount --bind {tmp_path}/own"
        f' /proc/$$/cgroup && exec "$0" "$@"'
    )
    space = ["unshare", "--mount"] + ([] if os.getuid() == 0 else ["--map-root-user"])
    program = Program.__new__(Program)
    program.name = f"eventrelay-{service}"
    program.log_path = tmp_path / "program.log"
    program.out_path = tmp_path / "program.out"
    program._ready = None
    with program.log_path.open("wb") as log, program.out_path.open("wb") as out:
        program.process = subprocess.Popen(
            [*space, "sh", "-c", script, str(BIN / program.name), "-c", str(stack.write())],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
        )
    program.pid = program.process.pid
    stack.programs.append(program)
    program.wait_ready()
    cores = len(os.sched_getaffinity(0))
    (ready,) = program.said("ready")
    assert ready["shards"] == (cores if group == "none" else 1)
    page = program.get("/metrics")[1]
    limit = 'eventrelay_memory_limit_bytes{what="cgroup"} 134217728'
    warned = program.said(
        "memory_max and the buffers of the Kafka client do not fit the control group's limit"
    )
    if group == "none":
        assert 'what="cgroup"' not in page and not warned
    else:
        assert limit in page
        (line,) = warned
        assert line["level"] == "warn" and int(line["limit_bytes"]) == 134217728
        # memory_max, 256 MiB unless given, is not all of it.
        assert int(line["wanted_bytes"]) > 300 * 2**20


# -- a configuration that changes under a running service --


def watched(stack: Stack, service: str, path: Path) -> Program:
    program = Program(f"eventrelay-{service}", ["-c", str(path), "--watch"], stack.directory)
    stack.programs.append(program)
    program.wait_ready()
    return program


def reloads(program: Program) -> int:
    return len(program.said("configuration reloaded"))


@pytest.mark.parametrize("service", ["ingest", "relay"])
def test_watch_takes_a_changed_file(stack: Stack, receiver, service: str) -> None:
    stack.add_instance(receiver)
    program = watched(stack, service, stack.write())
    stack.add_instance(receiver, number=7)
    stack.write()
    until(lambda: reloads(program) == 1, 5, "the changed file is taken")
    assert program.said("configuration reloaded")[0]["changed_instances"] == 1
    # A wrong one is refused and changes nothing, the next right one is taken.
    stack.directory.joinpath("eventrelay.yaml").write_text("version: 1\ningset: {}\n")
    until(lambda: program.said("reload refused, the old configuration stays"), 5, "refused")
    assert program.metric("eventrelay_config_last_reload_successful") == 0
    stack.write()
    until(lambda: reloads(program) == 2, 5, "the mended file is taken")
    assert program.metric("eventrelay_config_last_reload_successful") == 1


def test_watch_takes_a_changed_secret(stack: Stack, receiver, tmp_path: Path) -> None:
    secret = tmp_path / "box-primary"
    secret.write_text("planted-first-key")
    stack.add_instance(receiver)
    stack.config["sources"]["box"]["keys"] = [{"file": str(secret)}]
    program = watched(stack, "ingest", stack.write())
    secret.write_text("planted-second-key")
    until(lambda: reloads(program) == 1, 5, "the changed secret is taken")
    # As editors and secret managers write: another file under the same name.
    (tmp_path / "new").write_text("planted-third-key")
    (tmp_path / "new").rename(secret)
    until(lambda: reloads(program) == 2, 5, "the replaced secret is taken")


def test_watch_takes_a_mounted_config_map(stack: Stack, receiver, tmp_path: Path) -> None:
    """A kubelet writes a new folder and swaps the link `..data` to it."""
    mount = tmp_path / "mount"

    def publish(version: str) -> None:
        folder = mount / f"..{version}"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(json.dumps(stack.config))
        (mount / "..data_tmp").symlink_to(folder.name)
        (mount / "..data_tmp").rename(mount / "..data")

    stack.add_instance(receiver)
    publish("1")
    (mount / "config.yaml").symlink_to("..data/config.yaml")
    program = watched(stack, "relay", mount / "config.yaml")
    for number in range(2, 5):
        stack.add_instance(receiver, number=number)
        publish(str(number))
        until(lambda n=number: reloads(program) == n - 1, 5, f"version {number} is taken")
    assert [line["changed_instances"] for line in program.said("configuration reloaded")] == [1] * 3


# -- the admin listener off loopback --


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("service", ["ingest", "relay"])
def test_admin_off_loopback_without_a_token(
    stack: Stack, receiver, service: str, opened: bool
) -> None:
    stack.add_instance(receiver)
    stack.config["admin"] = {"listen": "0.0.0.0:0", **({"open": ["metrics"]} if opened else {})}
    program = stack.start(service, ready=False)
    program.wait_ready()
    assert program.get("/healthz")[0] == 200
    assert program.get("/readyz")[0] in (200, 503)
    assert program.get("/metrics")[0] == (200 if opened else 403)
    for path in ("/version", "/api/v1/status"):
        assert program.get(path)[0] == 403
    assert program.get("/-/reload", "POST")[0] == 403


# -- Kafka that is not there --


@pytest.mark.parametrize("service", ["ingest", "relay"])
def test_lives_and_says_why_while_no_broker_answers(stack: Stack, receiver, service: str) -> None:
    stack.add_instance(receiver)
    port = free_port()
    stack.config["kafka"] = {"bootstrap.servers": f"127.0.0.1:{port}"}
    program = stack.start(service, ready=False)
    until(lambda: program.said("starting"), 10, "it starts")
    admin = program.said("starting")[0]["admin"]

    def ask(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{admin}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    until(lambda: "refused" in ask("/readyz")[1], 10, "the reason is told")
    # Longer than a start used to take before it gave up.
    hold(35, lambda: program.alive(), "it lives")
    status, text = ask("/readyz")
    assert status == 503 and f"127.0.0.1:{port}" in text and "kafka.bootstrap.servers" in text
    assert ask("/healthz")[0] == 200
    assert "\neventrelay_ready 0\n" in ask("/metrics")[1]
    said = program.said("Kafka is not reached, the service waits for it")
    assert len(said) == 1 and "refused" in said[0]["reason"], said
    assert len(program.lines()) <= 6, program.log()
    with Broker(DEFAULT_VERSION, port=port):
        program.wait_ready(40)
        program.wait_live(40)
        code, _ = program.end()
        assert code == 0


def test_ends_when_told_to_while_no_broker_answers(stack: Stack, receiver) -> None:
    stack.add_instance(receiver)
    stack.config["kafka"] = {"bootstrap.servers": f"127.0.0.1:{free_port()}"}
    program = stack.start("relay", ready=False)
    until(lambda: program.said("starting"), 10, "it starts")
    hold(2)
    program.signal(signal.SIGTERM)
    assert program.process.wait(15) == 0
    assert re.search("ended while starting|drained", program.log())
