"""A certificate authority for one test, and a callback receiver that speaks TLS."""

from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
from pathlib import Path


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Authority:
    def __init__(self, directory: Path, name: str = "ca"):
        self.directory = directory
        self.key, self.cert = directory / f"{name}.key", directory / f"{name}.pem"
        openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", str(self.key), "-out", str(self.cert), "-days", "2"),
            *("-subj", f"/CN=eventrelay tests {name}"),
            # Python 3.13 asks for it (RFC 5280 4.2.1.3).
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )

    def issue(self, name: str, alternative: str) -> tuple[Path, Path]:
        """Certificate and key for `alternative`, e.g. `DNS:localhost`."""
        key, cert = self.directory / f"{name}.key", self.directory / f"{name}.pem"
        request, extra = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        extra.write_text(
            f"subjectAltName={alternative}\nauthorityKeyIdentifier=keyid\n"
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
        )
        openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", str(key), "-out", str(request), "-subj", f"/CN={name}"),
        )
        openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(self.cert), "-CAkey", str(self.key)),
            *("-CAcreateserial", "-days", "2", "-extfile", str(extra), "-out", str(cert)),
        )
        return cert, key


class TlsReceiver:
    """Records (server name asked for, headers, body) of each POST and answers 200."""

    def __init__(self, cert: Path, key: Path, client_ca: Path | None = None):
        self.seen: list[tuple[str | None, dict[str, str], bytes]] = []
        names: list[str | None] = []
        seen = self.seen

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen.append((names[-1] if names else None, headers, body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        context.sni_callback = lambda _, name, __: names.append(name)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # some tests want a refused handshake
        self.server.socket = context.wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
