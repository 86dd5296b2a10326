"""A TCP proxy that injects faults: between clients and Kafka, or relay and receiver.

Faults (per direction `up`, towards the server, or `down`): latency with jitter, bandwidth, hang
(nothing passes, optionally the end after a time), slow_close, slicer, limit (bytes, then the end),
reset, refuse (nobody listens). For Kafka besides, by API key: the answer to a request is dropped,
held back, or replaced by a reset after the broker has given it: a lost acknowledgement.
Bounds: loopback only; one process for all of its fronts; buffers of 64 KiB a direction.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
import struct
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from support.broker import free_port
from support.child import Child

PRODUCE, FETCH, METADATA, OFFSET_COMMIT, JOIN, HEARTBEAT = 0, 1, 3, 8, 11, 12


def loopback(host: str) -> str:
    """The host itself; ValueError unless it is a loopback address."""
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"{host} is not a loopback address: faults and load stay on this machine")
    return host


@dataclass
class Fault:
    latency: float = 0.0  # seconds, each way that the fault is set on
    jitter: float = 0.0
    bandwidth: float = 0.0  # bytes a second
    hang: bool = False  # bytes are taken and not passed on
    end_after: float = 0.0  # with hang: the connection ends after so long
    slow_close: float = 0.0  # an end is passed on this much later
    slice: int = 0  # bytes of a piece
    slice_pause: float = 0.001
    limit: int = 0  # bytes of a connection, then it ends
    reset: bool = False  # at the first byte


@dataclass
class Rule:
    """What happens to the answer of a Kafka request."""

    api: int
    action: str  # drop, hold, reset
    skip: int = 0  # answers that pass first
    times: int = 1 << 30
    done: int = 0


@dataclass
class _Front:
    port: int
    target: int
    kafka: bool
    faults: dict[str, Fault] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    refusing: bool = False
    server: asyncio.base_events.Server | None = None
    open: set = field(default_factory=set)
    passed: dict[str, int] = field(default_factory=lambda: {"up": 0, "down": 0})
    answers: dict[int, int] = field(default_factory=dict)  # by API


class _Link:
    """One client connection and its other half."""

    def __init__(self, front: _Front, rng: random.Random):
        self.front, self.rng = front, rng
        self.writers: list[asyncio.StreamWriter] = []
        self.asked: dict[int, int] = {}  # Kafka: correlation id -> API key
        self.held = asyncio.Event()
        self.held.set()
        self.bytes = 0

    def end(self, reset: bool = False) -> None:
        for writer in self.writers:
            if reset:
                raw = writer.get_extra_info("socket")
                linger = struct.pack("ii", 1, 0)
                if raw is not None:
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
            else:
                writer.close()

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.front.open.add(self)
        self.writers = [writer]
        try:
            there = await asyncio.open_connection("127.0.0.1", self.front.target)
            self.writers.append(there[1])
            for one in self.writers:
                raw = one.get_extra_info("socket")
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            up = self.frames if self.front.kafka else self.bytes_of
            await asyncio.gather(
                self.pump("up", up(reader), there[1]), self.pump("down", up(there[0]), writer)
            )
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.front.open.discard(self)
            self.end()

    @staticmethod
    async def bytes_of(reader: asyncio.StreamReader):
        while data := await reader.read(65536):
            yield data

    @staticmethod
    async def frames(reader: asyncio.StreamReader):
        """Whole Kafka requests or answers."""
        while True:
            try:
                size = await reader.readexactly(4)
                yield size + await reader.readexactly(struct.unpack(">i", size)[0])
            except asyncio.IncompleteReadError:
                return

    async def pump(self, way: str, source, writer: asyncio.StreamWriter) -> None:
        """Notes when each piece was read, so that latency delays every piece by itself and no piece
        waits for the one before it."""
        line: asyncio.Queue = asyncio.Queue(256)

        async def read() -> None:
            try:
                async for data in source:
                    await line.put((asyncio.get_running_loop().time(), data))
            finally:
                await line.put((0.0, b""))

        reading = asyncio.ensure_future(read())
        try:
            await self.pass_on(way, line, writer)
        finally:
            reading.cancel()

    async def pass_on(self, way: str, line: asyncio.Queue, writer: asyncio.StreamWriter) -> None:
        while True:
            since, data = await line.get()
            if not data:
                break
            fault = self.front.faults.get(way)
            if fault is not None:
                await self.delay(fault, since, len(data))
                if fault.reset:
                    self.end(reset=True)
                    return
                while (now := self.front.faults.get(way)) is not None and now.hang:
                    if now.end_after:
                        await asyncio.sleep(now.end_after)
                        self.end()
                        return
                    await asyncio.sleep(0.01)
            if self.front.kafka and not await self.judge(way, data):
                continue
            await self.write(way, fault, data, writer)
        fault = self.front.faults.get(way)
        if fault is not None and fault.slow_close:
            await asyncio.sleep(fault.slow_close)
        if writer.can_write_eof():
            writer.write_eof()

    async def delay(self, fault: Fault, since: float, size: int) -> None:
        if fault.bandwidth:
            await asyncio.sleep(size / fault.bandwidth)
        if fault.latency or fault.jitter:
            due = since + fault.latency + fault.jitter * self.rng.uniform(-1, 1)
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))

    async def write(
        self, way: str, fault: Fault | None, data: bytes, writer: asyncio.StreamWriter
    ) -> None:
        self.front.passed[way] += len(data)
        if fault is not None and fault.limit:
            room = fault.limit - self.bytes
            self.bytes += len(data)
            if len(data) >= room:
                writer.write(data[: max(0, room)])
                await writer.drain()
                self.end()
                return
        if fault is not None and fault.slice:
            for at in range(0, len(data), fault.slice):
                writer.write(data[at : at + fault.slice])
                await writer.drain()
                await asyncio.sleep(fault.slice_pause)
            return
        writer.write(data)
        await writer.drain()

    async def judge(self, way: str, frame: bytes) -> bool:
        """False: this frame is not passed on."""
        if way == "up":
            api, _, number = struct.unpack(">hhi", frame[4:12])
            self.asked[number] = api
            return True
        await self.held.wait()
        api = self.asked.pop(struct.unpack(">i", frame[4:8])[0], -1)
        self.front.answers[api] = self.front.answers.get(api, 0) + 1
        for rule in self.front.rules:
            if rule.api != api or rule.done - rule.skip >= rule.times:
                continue
            rule.done += 1
            if rule.done <= rule.skip:
                continue
            if rule.action == "drop":
                return False
            if rule.action == "reset":
                self.end(reset=True)
                return False
            self.held.clear()
            await self.held.wait()
        return True


class _Host:
    def __init__(self, control: Connection, fronts: list[tuple[int, int, bool]], seed: int):
        self.control = control
        self.fronts = [_Front(*one) for one in fronts]
        self.rng = random.Random(seed)
        self.ended = asyncio.Event()

    async def listen(self, front: _Front) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _Link(front, self.rng).run(reader, writer)

        front.server = await asyncio.start_server(serve, "127.0.0.1", front.port)

    async def run(self) -> None:
        for front in self.fronts:
            await self.listen(front)
        asyncio.get_running_loop().add_reader(self.control.fileno(), self.command)
        self.control.send(None)
        await self.ended.wait()

    def command(self) -> None:
        try:
            name, number, *arguments = self.control.recv()
        except EOFError:
            self.ended.set()
            return
        asyncio.ensure_future(self.obey(name, self.fronts[number], *arguments))

    async def obey(self, name: str, front: _Front, *arguments) -> None:
        answer = None
        if name == "fault":
            front.faults = dict(arguments[0])
        elif name == "rule":
            front.rules.append(arguments[0])
        elif name == "cut":
            for link in list(front.open):
                link.end(reset=arguments[0])
        elif name == "refuse":
            front.refusing = True
            front.server.close()
            for link in list(front.open):
                link.end()
        elif name == "heal":
            front.faults, front.rules = {}, []
            for link in list(front.open):
                link.held.set()
            if front.refusing:
                front.refusing = False
                await self.listen(front)
        elif name == "seen":
            hits = sum(max(0, rule.done - rule.skip) for rule in front.rules)
            answer = dict(front.passed), dict(front.answers), hits
        elif name == "end":
            self.ended.set()
        self.control.send(answer)


def _serve(control: Connection, fronts: list[tuple[int, int, bool]], seed: int) -> None:
    asyncio.run(_Host(control, fronts, seed).run())


class Proxy:
    """Handle of a process with one front for each target port, on ports of its own."""

    def __init__(
        self,
        targets: list[int],
        kafka: bool = False,
        seed: int = 1,
        ports: list[int] | None = None,
        host: str = "127.0.0.1",
    ):
        loopback(host)
        self.ports = ports or [free_port() for _ in targets]
        fronts = [(port, target, kafka) for port, target in zip(self.ports, targets)]
        self._child = Child(_serve, fronts, seed)

    def _each(self, name: str, front: int | None, *arguments: object) -> list:
        numbers = range(len(self.ports)) if front is None else [front]
        return [self._child.ask(name, number, *arguments) for number in numbers]

    def fault(
        self, up: Fault | None = None, down: Fault | None = None, front: int | None = None
    ) -> None:
        """Replaces the faults of one front, or of all."""
        pairs = {"up": up, "down": down}
        self._each("fault", front, {way: one for way, one in pairs.items() if one is not None})

    def rule(self, rule: Rule, front: int | None = None) -> None:
        self._each("rule", front, rule)

    def cut(self, reset: bool = True, front: int | None = None) -> None:
        """Ends every open connection now."""
        self._each("cut", front, reset)

    def refuse(self, front: int | None = None) -> None:
        """Ends every connection and stops listening."""
        self._each("refuse", front)

    def heal(self) -> None:
        self._each("heal", None)

    def bytes_passed(self, way: str) -> int:
        return sum(passed[way] for passed, _, _ in self._each("seen", None))

    def answers(self, api: int) -> int:
        return sum(answers.get(api, 0) for _, answers, _ in self._each("seen", None))

    def hits(self) -> int:
        """Answers that a rule kept from the client."""
        return sum(hits for _, _, hits in self._each("seen", None))

    def close(self) -> None:
        self._child.close("end", 0)
