"""A broker with a listener for SASL and one for TLS beside the plain one."""

from __future__ import annotations

from pathlib import Path

from support.broker import DEFAULT_VERSION, Broker, free_port
from support.tls import Authority

LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"


class GuardedBroker:
    """`properties` are added to those of the listeners. The user `relay` has the password."""

    def __init__(self, directory: Path, password: str, properties: dict[str, str]):
        self.authority = Authority(directory)
        cert, key = self.authority.issue("broker", "IP:127.0.0.1")
        keystore = directory / "broker.keystore.pem"
        keystore.write_text(key.read_text() + cert.read_text())
        self.sasl, self.tls = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self.broker = Broker(DEFAULT_VERSION)
        node = self.broker.nodes[0]
        plain = f"PLAINTEXT://127.0.0.1:{node.port}"
        extra = f"SASL_PLAINTEXT://{self.sasl},SSL://{self.tls}"
        self.broker.properties = {
            "listeners": f"{plain},CONTROLLER://127.0.0.1:{node.controller_port},{extra}",
            "advertised.listeners": f"{plain},{extra}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
            "SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_plaintext.plain.sasl.jaas.config": LOGIN
            + f' user_relay="{password}";',
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(keystore),
        } | properties
        self.broker.start()
