"""A server on loopback that speaks bytes: one thread accepts, each connection has its own."""

from __future__ import annotations

import socket
import threading


class RawServer:
    """`serve` is what a kind of server does with a connection; a broken connection ends it."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.ended = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def serve(self, peer: socket.socket) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.ended.set()
        self.listener.close()

    def _accept(self) -> None:
        while not self.ended.is_set():
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer:
            try:
                self.serve(peer)
            except OSError:
                return
