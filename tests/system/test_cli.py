"""The command line tool, its signatures judged by Python's own hmac."""

from __future__ import annotations

import base64
import hmac
import json
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from support import box
from support.broker import free_port
from support.kafka_log import topics
from support.load import Load
from support.programs import BIN, Program, run
from support.receiver import Rule
from support.stack import INSTANCE, KEY, Stack
from support.wait import until
from support.wire import exchange

COMMANDS = (
    "dev send listen sign verify tail replay topics check-config print-config status subscription "
    "bench version completion"
).split()
BODY = b'{"a":"\xc3\xa9","b":[1,2]}'


def digest(key: bytes, text: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.new(key, text, algorithm).digest()


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
RAW_KEY = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
NOW = str(int(time.time()))
# scheme: (key, further arguments, header, expected value)
SCHEMES = {
    "box-v2": (
        "k1",
        ["--timestamp", "2026-01-01T00:00:00Z"],
        "box-signature-primary",
        b64(digest(b"k1", BODY + b"2026-01-01T00:00:00Z")),
    ),
    "elements": ("k1", [], "elements-webhook-signature", "sha256=" + b64(digest(b"k1", BODY))),
    "github": ("k1", [], "x-hub-signature-256", "sha256=" + digest(b"k1", BODY).hex()),
    "stripe": (
        "k1",
        ["--timestamp", NOW],
        "stripe-signature",
        f"t={NOW},v1=" + digest(b"k1", NOW.encode() + b"." + BODY).hex(),
    ),
    "shopify": ("k1", [], "x-shopify-hmac-sha256", b64(digest(b"k1", BODY))),
    "slack": (
        "k1",
        ["--timestamp", NOW],
        "x-slack-signature",
        "v0=" + digest(b"k1", b"v0:" + NOW.encode() + b":" + BODY).hex(),
    ),
    "standard": (
        WHSEC,
        ["--id", "msg_1", "--timestamp", NOW],
        "webhook-signature",
        "v1," + b64(digest(RAW_KEY, b"msg_1." + NOW.encode() + b"." + BODY)),
    ),
}


def headers_of(text: bytes) -> dict[str, str]:
    pairs = (line.split(": ", 1) for line in text.decode().splitlines())
    return {name.lower(): value for name, value in pairs}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_sign_is_what_python_computes_and_verify_agrees(scheme: str) -> None:
    key, extra, header, expected = SCHEMES[scheme]
    done = run("eventrelay", "sign", "--scheme", scheme, "--key", key, *extra, stdin=BODY)
    assert done.returncode == 0, done.stderr
    assert headers_of(done.stdout)[header] == expected

    def verify(body: bytes, key: str, drop: str = "") -> subprocess.CompletedProcess:
        lines = done.stdout.decode().splitlines()
        lines = [line for line in lines if line.split(":")[0].lower() != drop]
        flags = [part for line in lines for part in ("--header", line)]
        now = ["--now", str(int(time.mktime((2026, 1, 1, 0, 1, 0, 0, 0, 0)) - time.timezone))]
        flags += now if scheme == "box-v2" else []
        return run("eventrelay", "verify", "--scheme", scheme, "--key", key, *flags, stdin=body)

    assert verify(BODY, key).returncode == 0
    other = WHSEC[:-4] + "AAAA"
    for wrong in (verify(BODY + b" ", key), verify(BODY, other), verify(BODY, key, header)):
        assert wrong.returncode == 1
        assert wrong.stderr.strip() and key.encode() not in wrong.stderr


def test_usage_errors_are_2_and_every_command_has_help() -> None:
    assert run("eventrelay").returncode == 2
    assert run("eventrelay", "no-such-command").returncode == 2
    for command in COMMANDS:
        done = run("eventrelay", command, "--help")
        assert done.returncode == 0 and command.encode() in done.stdout, command
        assert run("eventrelay", command, "--no-such-flag").returncode == 2, command
    done = run("eventrelay", "sign", "--scheme", "nonsense", "--key", "x")
    assert done.returncode == 2 and b"nonsense" in done.stderr and b"github" in done.stderr


def test_version_names_what_it_is_made_of() -> None:
    assert re.fullmatch(rb"eventrelay \d+\.\d+\.\d+.*\n", run("eventrelay", "version").stdout)
    done = json.loads(run("eventrelay", "version", "--json").stdout)
    wanted = {"version", "commit", "compiler", "librdkafka", "boost", "simdjson", "openssl"}
    assert wanted <= {key.lower() for key in done}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_every_command(shell: str) -> None:
    done = run("eventrelay", "completion", shell)
    assert done.returncode == 0
    for command in COMMANDS:
        assert command in done.stdout.decode()
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=done.stdout, check=False).returncode == 0


def test_print_config_loads_again_and_hides_secrets(stack: Stack, receiver) -> None:
    stack.add_instance(receiver)
    done = run("eventrelay", "print-config", "-c", str(stack.write()))
    assert done.returncode == 0, done.stderr
    printed = done.stdout.decode()
    assert KEY not in printed and "***" in printed and "inflight_max: 1024" in printed
    again = stack.directory / "printed.yaml"
    assert run("eventrelay", "print-config", "-c", str(again.with_name("x"))).returncode == 78
    again.write_text(printed)
    refused = run("eventrelay", "print-config", "-c", str(again))
    assert refused.returncode == 78 and b"masked" in refused.stderr
    again.write_text(printed.replace("'***'", "s").replace('"***"', "s").replace("***", "s"))
    done = run("eventrelay", "print-config", "-c", str(again))
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == printed


def test_topics_are_made_and_checked(stack: Stack, receiver) -> None:
    stack.add_instance(receiver)
    path = str(stack.write())
    assert run("eventrelay", "topics", "check", "-c", path).returncode == 1
    done = run("eventrelay", "topics", "init", "-c", path)
    assert done.returncode == 0, done.stderr
    assert topics(stack.broker.bootstrap, stack.prefix)[stack.events] == 6
    assert run("eventrelay", "topics", "init", "-c", path).returncode == 0
    assert run("eventrelay", "topics", "check", "-c", path).returncode == 0
    assert run("eventrelay", "check-config", "--connect", "-c", path).returncode == 0


def test_send_tail_listen_and_status_around_the_services(stack: Stack, receiver, tmp_path) -> None:
    listener = Program(
        "eventrelay", ["listen", "--port", "0", "--key", KEY, "--json", "--count", "20"], tmp_path
    )
    stack.programs.append(listener)
    told = until(lambda: re.search(r"127\.0\.0\.1:(\d+)", listener.log()), 10, "listen's port")
    stack.add_instance(receiver, concurrency=4)
    configuration = stack.config["instances"][0]["configuration"]
    configuration["event.notification.callback.url"] = f"http://127.0.0.1:{told.group(1)}/cb"
    stack.config["instances"][0]["delivery"]["ports"] = [int(told.group(1))]
    ingest, relay = stack.ingest(), stack.relay()
    url = f"http://127.0.0.1:{ingest.port}{box.path(INSTANCE)}"
    keys = ["--key", box.PRIMARY, "--key", box.SECONDARY]
    done = run("eventrelay", "send", "box-v2", "--url", url, *keys, "--count", "20", "--json")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == [202] * 20
    assert listener.process.wait(20) == 0
    lines = [json.loads(line) for line in listener.out_path.read_text().splitlines()]
    assert len(lines) == 20 and {line["signature"] for line in lines} == {"verified"}

    wrong = run("eventrelay", "send", "box-v2", "--url", url, "--key", "wrong")
    assert wrong.returncode == 1 and b"401" in wrong.stdout + wrong.stderr
    tail = ["events", "-c", str(stack.write()), "--from-beginning", "--count", "20", "--json"]
    done = run("eventrelay", "tail", *tail)
    assert done.returncode == 0, done.stderr
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 20
    admin = [f"http://127.0.0.1:{program.admin}" for program in (ingest, relay)]
    done = run("eventrelay", "status", "--admin", admin[0], "--admin", admin[1], "--json")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 2
    assert run("eventrelay", "status", "--admin", "http://127.0.0.1:1").returncode == 1


def test_subscription_names_every_worker_that_did_not_take_it(tmp_path) -> None:
    done = run("eventrelay", "subscription", "pause", "7/a b", "--admin", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert b"7/a b is not paused" in done.stderr and b"127.0.0.1:1" in done.stderr
    assert run("eventrelay", "subscription").returncode == 2
    assert run("eventrelay", "subscription", "on").returncode == 2


def test_listen_answers_and_judges_as_told(tmp_path) -> None:
    listener = Program(
        "eventrelay",
        ["listen", "--port", "0", "--key", KEY, "--fail-first", "1", "--count", "3", "--json"],
        tmp_path,
    )
    try:
        port = int(until(lambda: re.search(r":(\d+)\s", listener.log()), 10, "port").group(1))
        good = [("Elements-Webhook-Signature", "sha256=" + b64(digest(KEY.encode(), BODY)))]
        bad = [("Elements-Webhook-Signature", "sha256=" + b64(digest(b"other", BODY)))]
        statuses = [
            exchange(port, box.http("POST", "/x", headers, BODY)).replies[0].status
            for headers in (good, good, bad)
        ]
        assert statuses[0] == 503 and statuses[1] == 200
        assert listener.process.wait(10) == 1, "one of them was not genuine"
        lines = [json.loads(line) for line in listener.out_path.read_text().splitlines()]
        assert [line["signature"] for line in lines] == ["verified", "verified", "NOT GENUINE"]
    finally:
        listener.kill()


@pytest.mark.parametrize("broker", ["embedded", "real"])
def test_dev_shows_a_verified_delivery(kafka, broker: str, tmp_path, report) -> None:
    arguments = ["dev", "--once", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    if broker == "real":
        arguments += ["--kafka", kafka.bootstrap]
    begin = time.monotonic()
    done = run("eventrelay", *arguments, seconds=60)
    report(f"{broker} broker: {time.monotonic() - begin:.1f} s")
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    text = done.stdout.decode()
    assert "signed callback" in text and "signature verified" in text
    assert "NOT GENUINE" not in text
    assert '"message": {' in text and '"events": [{' in text
    assert (kafka.bootstrap in text) == (broker == "real"), text
    assert done.stderr == b""
    assert screen_rows(text) <= 16


def screen_rows(text: str) -> int:
    """Rows of a terminal of 80 columns."""
    return sum(max(1, (len(line) + 79) // 80) for line in text.splitlines())


def tried(text: str) -> list[str]:
    """The command lines under "Try", each as a shell takes it."""
    part = text.split("Try in another terminal", 1)[1].split("\n", 1)[1]
    return re.findall(r"^  (\S(?:.*\\\n)*.*)$", part, re.M)


@pytest.mark.parametrize("broker", ["embedded", "real"])
def test_dev_shows_one_screen_and_what_it_names_works(kafka, broker: str, tmp_path) -> None:
    arguments = ["dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    if broker == "real":
        arguments += ["--kafka", kafka.bootstrap]
    dev = Program("eventrelay", arguments, tmp_path)
    try:
        until(lambda: "Ctrl-C ends" in dev.out_path.read_text(), 30, "what to try")
        text = dev.out_path.read_text()
        assert screen_rows(text) <= 23, text
        assert dev.log() == "", "the logs have a file of their own"
        send, status, event = tried(text)
        # From any folder, with no path but the system's.
        shell = {"shell": True, "cwd": "/", "env": {"PATH": "/usr/bin:/bin"}}
        done = subprocess.run(send, capture_output=True, timeout=30, check=False, **shell)
        assert done.returncode == 0, done
        until(lambda: dev.out_path.read_text().count("signature verified") >= 11, 20, "deliveries")
        done = subprocess.run(status, capture_output=True, timeout=30, check=True, **shell)
        assert json.loads(done.stdout) and done.stdout.endswith(b"\n")
        event = event.split("   ")[0]
        done = subprocess.run(event, capture_output=True, timeout=30, check=True, **shell)
        assert json.loads(done.stdout)["eventIds"] and done.stdout.endswith(b"\n")
        until(lambda: dev.out_path.read_text().count("signature verified") >= 12, 20, "deliveries")
        folder = Path(event.split()[1]).parent
        assert {path.name for path in folder.iterdir()} == {"services.log", "event.sh", "tour.txt"}
        lines = (folder / "services.log").read_text().splitlines()
        client = [line for line in lines if '"kafka client"' in line and '"info"' not in line]
        assert client == []
        assert "ready" in {json.loads(line)["msg"] for line in lines}
        assert dev.end(15)[0] == 0
        assert dev.log() == ""
        shutil.rmtree(folder)
    finally:
        dev.kill()


def test_dev_says_where_the_logs_are_when_it_fails(tmp_path) -> None:
    folder = tmp_path / "files"
    arguments = ["dev", "--once", "--files", str(folder), "--listen", "127.0.0.1:0"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        admin = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("eventrelay", *arguments, "--admin", admin)
    assert done.returncode == 1 and b"in use" in done.stderr
    assert (folder / "services.log").exists()
    done = run("eventrelay", "dev", "--files", "/proc/none/here", "--listen", "127.0.0.1:0")
    assert done.returncode == 1 and b"/proc/none/here" in done.stderr


def test_dev_refuses_before_the_embedded_broker_would_drop(tmp_path, report) -> None:
    """The stand-in keeps 5 MiB a partition and drops the rest: 503 comes before that, and every
    event that got a 202 is delivered."""
    arguments = ["dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    dev = Program("eventrelay", arguments, tmp_path)
    try:
        wanted = re.compile(r"--key (\S+)(?: \\\n +| )--url (\S+)")
        text = until(lambda: wanted.search(dev.out_path.read_text()), 20, "what to try")
        port = int(re.search(r":(\d+)/", text.group(2)).group(1))
        path = re.sub(r"^http://[^/]+", "", text.group(2))
        requests = []
        for number in range(30_000):
            raw = box.body(number)
            headers = [("Content-Type", "application/json")]
            headers += box.v2_headers(raw, keys=(text.group(1),))
            requests.append(box.http("POST", path, headers, raw))
        load = Load(port, requests, connections=64)
        load.start()
        load.finish(120)
        accepted = load.statuses()[202]
        report(f"answers {dict(load.statuses())}")
        assert set(load.statuses()) <= {202, 503}
        until(
            lambda: dev.out_path.read_text().count("signature verified") >= accepted + 1,
            60,
            f"{accepted} deliveries",
            pause=0.5,
        )
    finally:
        dev.kill()


def test_programs_are_where_they_belong() -> None:
    names = {path.name for path in BIN.iterdir()}
    assert names >= {"eventrelay-ingest", "eventrelay-relay", "eventrelay"}


def told(*words: str) -> str:
    """What a wrong command line says; it is one line, and the exit code is that of usage."""
    done = run("eventrelay", *words)
    assert done.returncode == 2, done
    text = done.stderr.decode()
    assert len(text.splitlines()) == 1, text
    return text


@pytest.mark.parametrize(
    "words, nearest",
    [
        (("chek-config", "-c", "x"), "check-config"),
        (("statsu",), "status"),
        (("sned", "box-v2"), "send"),
        (("topics", "chek", "-c", "x"), "check"),
        (("subscription", "puase", "7"), "pause"),
        (("registry", "lsit"), "list"),
        (("bench", "ingset"), "ingest"),
    ],
)
def test_a_misspelt_word_is_named_with_the_nearest(words: tuple[str, ...], nearest: str) -> None:
    wrong = next(w.partition("=")[0] for w in words if w.partition("=")[0] in MISSPELT)
    text = told(*words)
    assert f"`{wrong}`" in text and f"did you mean `{nearest}`?" in text


def test_a_misspelt_choice_is_named_with_the_nearest() -> None:
    assert "did you mean `seal`?" in told("keygen", "sael")
    assert "did you mean `bash`?" in told("completion", "bsh")


MISSPELT = set("chek-config statsu sned chek puase lsit ingset".split())


@pytest.mark.parametrize(
    "words, wrong, nearest",
    [
        (("dev", "--onec"), "--onec", "--once"),
        (("send", "box-v2", "--kye", "x"), "--kye", "--key"),
        (("check-config", "--conect"), "--conect", "--connect"),
        (("listen", "--prot=1"), "--prot", "--port"),
        (("topics", "check", "--confg", "x"), "--confg", "--config"),
        (("subscription", "pause", "7", "--tokn-file", "x"), "--tokn-file", "--token-file"),
        (("bench", "ingest", "--partitons", "3"), "--partitons", "--partitions"),
        (("--verison",), "--verison", "--version"),
        (("send", "bxo-v2", "--url", "http://h/", "--key", "k"), "bxo-v2", "box-v2"),
        (("sign", "--scheme", "hubspto-v3", "--key", "k"), "hubspto-v3", "hubspot-v3"),
    ],
)
def test_a_misspelt_flag_or_scheme_is_named_with_the_nearest(
    words: tuple[str, ...], wrong: str, nearest: str
) -> None:
    """Also where something that is required is missing: it may be what was meant."""
    text = told(*words)
    assert f"`{wrong}`" in text and f"did you mean `{nearest}`?" in text


@pytest.mark.parametrize("service", ["ingest", "relay"])
def test_a_misspelt_flag_of_a_service_is_named_too(service: str) -> None:
    done = run(f"eventrelay-{service}", "--confg", "x.yaml")
    assert done.returncode == 2
    assert b"no flag `--confg`; did you mean `--config`?" in done.stderr


def test_a_word_like_nothing_is_named_without_a_guess() -> None:
    text = told("xylophone")
    assert "`xylophone`" in text and "did you mean" not in text and "--help" in text


@pytest.mark.parametrize(
    "words",
    [
        ("listen", "--fail-first", "-1"),
        ("listen", "--fail-first", "x"),
        ("listen", "--count", "-1"),
        ("listen", "--port", "-1"),
        ("listen", "--port", "70000"),
        ("listen", "--delay", "-5s"),
        ("tail", "--count", "-1"),
        ("tail", "--instance", "-1"),
        ("tail", "-n", "5"),
        ("replay", "-c", "x", "--from", "dead", "--instance", "-1"),
        ("replay", "-c", "x", "--from", "dead", "--rate", "-1"),
        ("dev", "--callback-port", "-1"),
        ("dev", "--callback-port", "70000"),
        ("listen", "--status", "99"),
        ("listen", "--delay", "5"),
        ("send", "box-v2", "--url", "http://h/", "--key", "k", "--count", "0"),
        ("send", "box-v2", "--url", "http://h/", "--key", "k", "--count", "-3"),
        ("send", "box-v2", "--url", "http://h/", "--key", "k", "--rate", "-1"),
        ("send", "box-v2", "--url", "http://h/", "--key", "k", "--concurrency", "0"),
        ("send", "box-v2", "--url", "http://h/"),
        ("send", "box-v2", "--url", "http://h/", "--key", ""),
        ("sign", "--scheme", "hubspot-v3", "--key", "k"),
        ("sign", "--scheme", "hubspot-v3", "--key", "k", "--uri", "/path/only"),
        ("sign", "--scheme", "twilio", "--key", "k"),
        ("verify", "--scheme", "hubspot-v3", "--key", "k"),
        ("sign", "--scheme", "standard", "--key", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("sign", "--scheme", "microsoftgraph", "--key", "k"),
        ("verify", "--scheme", "github", "--key", "k", "--header", "no colon"),
        ("bench", "ingest", "--kafka", "127.0.0.1:1", "--connections", "0"),
        ("bench", "relay", "--kafka", "127.0.0.1:1", "--duration", "0"),
        ("bench", "ingest", "--kafka", "127.0.0.1:1", "--duration", "nan"),
        ("bench", "ingest", "--kafka", "127.0.0.1:1", "--rate", "nan"),
        ("bench", "ingest", "--kafka", "127.0.0.1:1", "--body-size", "100"),
        ("bench", "ingest", "--kafka", "127.0.0.1:1", "--max-ratio", "-1"),
        ("bench", "ingest", "--kafka", "127.0.0.1:1", "--max-p99", "0"),
        ("bench", "relay", "--kafka", "127.0.0.1:1", "--compare", "no-equals"),
        ("status", "--admin", "http://"),
        ("status", "--admin", "127.0.0.1:99999"),
        ("status", "--admin", "127.0.0.1"),
        ("status", "--admin", "[::1]"),
        ("subscription", "pause", "7", "--admin", "ftp://127.0.0.1:1"),
        ("status", "--admin", "127.0.0.1:-1"),
        ("status", "--admin", "127.0.0.1:"),
        ("check-config", "-c", ""),
        ("print-config", "-c", ""),
        ("topics", "check", "-c", ""),
        ("status", "-c", ""),
        ("replay", "-c", "", "--from", "dead"),
        ("dev", "--once", "-c", ""),
    ],
)
def test_what_can_not_be_meant_is_refused(words: tuple[str, ...]) -> None:
    told(*words)


def test_an_empty_body_is_not_a_made_up_event(tmp_path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for body in (str(empty), "-"):
        text = told("send", "box-v2", "--url", "http://127.0.0.1:1/", "--key", "k", "--body", body)
        assert f"--body {body} is empty" in text
    for words in (("--body", ""), ("--body=",)):
        text = told("send", "box-v2", "--url", "http://127.0.0.1:1/", "--key", "k", *words)
        assert "--body" in text
    text = told("send", "github", "--url", "http://h/", "--key", "k", "--body", "/no/such/file")
    assert "/no/such/file" in text


def completed(*words: str) -> set[str]:
    """What bash offers for the last of `words` on a command line."""
    script = run("eventrelay", "completion", "bash").stdout.decode()
    line = " ".join(f"'{word}'" for word in ("eventrelay", *words))
    script += f"COMP_WORDS=({line}); COMP_CWORD={len(words)}; _eventrelay\n"
    script += 'printf "%s\\n" "${COMPREPLY[@]}"\n'
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, cwd="/proc/self/fd"
    )
    return set(done.stdout.split())


def test_completion_goes_on_below_nested_commands() -> None:
    assert completed("chec") == {"check-config"}
    assert {"init", "check"} <= completed("topics", "")
    assert completed("topics", "ini") == {"init"}
    assert completed("topics", "init", "--con") == {"--config"}
    assert not {"init", "check"} & completed("topics", "check", "--")
    assert {"pause", "resume", "on", "off"} <= completed("subscription", "")
    assert "--token-file" in completed("subscription", "pause", "--")
    assert "--partitions" in completed("bench", "ingest", "--")
    assert "--records" in completed("bench", "relay", "--rec")
    assert {"list", "export", "import", "reseal"} <= completed("registry", "")
    assert "--dry-run" in completed("registry", "import", "--d")
    assert "--admin" in completed("status", "--")


def test_status_and_subscription_find_the_listeners_in_the_configuration(
    stack: Stack, receiver, tmp_path
) -> None:
    token = tmp_path / "token"
    token.write_text("planted-admin-token\n")
    stack.add_instance(receiver)
    ports = {name: free_port() for name in ("ingest", "relay")}
    for name, port in ports.items():
        stack.config[name]["admin"] = {"listen": f"0.0.0.0:{port}", "token_file": str(token)}
    programs = [stack.start(name, ready=False) for name in ports]
    for program in programs:
        program.wait_ready()

    def ready() -> bool:
        return run("eventrelay", "status", "-c", str(stack.write())).returncode == 0

    until(ready, 20, "both to be ready", pause=0.3)
    done = run("eventrelay", "status", "-c", str(stack.write()), "--json")
    admins = [json.loads(line)["admin"] for line in done.stdout.splitlines()]
    assert admins == [f"http://127.0.0.1:{port}" for port in ports.values()]
    # HOST:PORT is an address too; the token comes from the file that is named.
    peer = f"127.0.0.1:{ports['relay']}"
    done = run("eventrelay", "status", "--admin", peer, "--token-file", str(token))
    assert done.returncode == 0, done
    assert run("eventrelay", "status", "--admin", peer).returncode == 1
    env = {"EVENTRELAY_CONFIG": str(stack.write())}
    for word, state in (("pause", "paused"), ("resume", "resumed")):
        call = ("eventrelay", "subscription", word, str(INSTANCE))
        # Nobody can tell its state until the worker has read it.
        done = until(lambda c=call: _if_done(run(*c, env=env)), 20, f"it to be {state}", pause=0.3)
        assert f"{INSTANCE} is {state}".encode() in done.stdout
    stack.config["relay"]["admin"]["listen"] = "127.0.0.1:0"
    assert "--admin HOST:PORT" in told("status", "-c", str(stack.write()))


def test_send_names_each_header_of_a_provider_once(receiver) -> None:
    for scheme, key in (("box-v2", "k"), ("github", "k"), ("standard", WHSEC)):
        receiver.answer(f"/{scheme}", Rule(status=202))
        done = run("eventrelay", "send", scheme, "--url", receiver.url(f"/{scheme}"), "--key", key)
        assert done.returncode == 0, done
        (sent,) = [one for one in receiver.deliveries() if one.path == f"/{scheme}"]
        names = [line.partition(b":")[0].lower() for line in sent.head.splitlines()[1:] if line]
        assert len(names) == len(set(names)), sent.head
        assert sent.headers["host"] == f"127.0.0.1:{receiver.port}"


def test_status_asks_a_listener_at_an_ipv6_address(stack: Stack, receiver) -> None:
    stack.add_instance(receiver)
    port = free_port()
    address = f"[::1]:{port}"
    stack.config["relay"]["admin"] = {"listen": address}
    stack.start("relay", ready=False)
    call = ("eventrelay", "status", "--admin", address)
    done = until(lambda: _if_done(run(*call)), 20, "the relay to be ready", pause=0.3)
    assert done.stdout.startswith(f"http://{address} ready\n".encode()), done
    down = run("eventrelay", "status", "--admin", "[::1]:1")
    assert down.returncode == 1 and b"[::1]:1: connect" in down.stderr, down


def _if_done(done: subprocess.CompletedProcess) -> subprocess.CompletedProcess | None:
    return done if done.returncode == 0 else None


@pytest.mark.alone
def test_bench_leaves_nothing_behind_and_needs_no_other_program(stack: Stack) -> None:
    """The comparison needs programs of its own, which a first build does not make."""
    before = topics(stack.broker.bootstrap, "bench")
    flags = ["--kafka", stack.broker.bootstrap, "--rounds", "1", "--json"]
    timed = ["--duration", "1", "--warm-up", "0", "--connections", "8"]
    for words in (["ingest", *timed], ["e2e", *timed, "--rate", "500"],
                  ["relay", "--backlog", "2000"], ["relay", "--backlog", "0", *timed]):
        done = run("eventrelay", "bench", *words, *flags, seconds=120)
        assert done.returncode == 0, (done.stdout, done.stderr)
        rows = json.loads(done.stdout)["rows"]
        product = next(row for row in reversed(rows) if row["name"] == words[0])
        assert product["events"] > 0 and product["failed"] == 0, product
        assert 0 < product["p50_ms"] <= product["p95_ms"] <= product["p999_ms"]
        assert product["resident_peak_mib"] > 1 and product["memory_mib"]
        if (BIN / "libbench_allocations.so").exists():
            assert product["allocations_per_event"] > 0
        if words[0] == "relay":
            assert product["detached"] >= 0 and product["read_per_event"] >= 1
    assert topics(stack.broker.bootstrap, "bench") == before == {}


@pytest.mark.alone
def test_a_bench_that_is_killed_takes_its_programs_along(stack: Stack) -> None:
    bench = subprocess.Popen(
        [BIN / "eventrelay", "bench", "ingest", "--kafka", stack.broker.bootstrap,
         "--warm-up", "0", "--duration", "20", "--connections", "2"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        (started,) = until(lambda: _children_of(bench.pid), 30, "the bench starts a program")
    finally:
        bench.kill()
        bench.wait()
    until(lambda: not _runs(started), 10, "the program has ended, too")


def _children_of(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], stdout=subprocess.PIPE, check=False)
    return [int(each) for each in found.stdout.split()]


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.alone
def test_bench_says_which_objective_is_missed(stack: Stack) -> None:
    flags = ["--kafka", stack.broker.bootstrap, "--rounds", "1", "--duration", "1"]
    flags += ["--warm-up", "0", "--connections", "2", "--json", "--max-p99", "0.001"]
    done = run("eventrelay", "bench", "ingest", *flags, seconds=60)
    assert done.returncode == 1
    assert not json.loads(done.stdout)["objectives"][-1]["met"]
    last = done.stderr.decode().splitlines()[-1]
    assert re.fullmatch(r"eventrelay: p99 ms, ingest half .* \(at most 0.001\): MISSED", last)


def _bench_refuses(*words: str, program: str = "eventrelay") -> str:
    done = run(program, "bench", *words)
    assert done.returncode == 1, done
    (line,) = done.stderr.decode().splitlines()
    return line


@pytest.mark.parametrize("scenario", ["ingest", "relay", "e2e", "all", "compare HEAD"])
def test_bench_refuses_in_one_line_what_it_can_not_do(scenario: str) -> None:
    away = f"127.0.0.1:{free_port()}"
    words = scenario.split()
    line = _bench_refuses(*words, "--kafka", away)
    assert f"{away}: nobody listens there" in line
    for remote in ("192.0.2.1:9092", "127.evil.example:9092", f"{away},192.0.2.1:9092"):
        assert "only ever sent to loopback" in _bench_refuses(*words, "--kafka", remote)


def test_bench_refuses_before_a_run_what_it_can_not_write_after_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kafka = ("--kafka", f"127.0.0.1:{free_port()}")
    out = str(tmp_path / "not-there" / "run")
    assert f"cannot write {out}.md" in _bench_refuses("ingest", *kafka, "--out", out)
    report = str(tmp_path / "file")
    assert f"cannot write {report}/" in _bench_refuses("all", *kafka, "--report", report)


def test_bench_relay_refuses_a_rate_for_a_backlog() -> None:
    for backlog in ((), ("--backlog", "1000")):
        line = _bench_refuses("relay", "--rate", "2000", *backlog)
        assert "--rate 2000" in line
        assert "--backlog 0" in line


def test_bench_all_refuses_a_choice_that_leaves_no_shape(stack: Stack) -> None:
    line = _bench_refuses("all", "--kafka", stack.broker.bootstrap, "--only", "nothing like that")
    assert "no shape has that in its name" in line


@pytest.mark.parametrize(
    "words",
    [
        ("relay", "--backlog", "5000000", "--body-size", "48KiB"),
        ("e2e", "--rate", "200000", "--duration", "600", "--body-size", "48KiB"),
    ],
)
def test_bench_refuses_a_shape_that_does_not_fit_the_memory(words: tuple[str, ...]) -> None:
    line = _bench_refuses(*words, "--kafka", f"127.0.0.1:{free_port()}")
    assert re.search(r"takes about \d+\.\d GiB of memory, \d+\.\d GiB are available", line), line


def test_bench_without_its_programs_says_the_one_command_that_builds_them(tmp_path: Path) -> None:
    alone = tmp_path / "eventrelay"
    shutil.copy(BIN / "eventrelay", alone)
    line = _bench_refuses("e2e", "--kafka", "127.0.0.1:1", program=str(alone))
    assert "`.ci/build release eventrelay-ingest eventrelay-relay`" in line
    line = _bench_refuses("all", "--kafka", "127.0.0.1:1", program=str(alone))
    assert "relay_lean" in line and line.count(".ci/build release") == 1
    assert "needs a checkout" in _bench_refuses("compare", "HEAD", program=str(alone))
    assert "needs a checkout" in _bench_refuses("relay", program=str(alone))


def test_bench_compare_names_a_revision_that_is_not_there(stack: Stack) -> None:
    line = _bench_refuses("compare", "no-such-revision", "--kafka", stack.broker.bootstrap)
    assert "revision no-such-revision can not be built" in line
