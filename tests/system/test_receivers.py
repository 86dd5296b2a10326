"""The code of docs/receivers.md, run: published vectors pass, everything else is refused."""

from __future__ import annotations

import hmac
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/receivers.md").read_text("utf-8")

# docs.cloud-elements.com/home/hash-verification
ELEMENTS = {
    "scheme": "elements",
    "key": "MySecretEventSignatureKey",
    "body": "<INSERT_EVENT_NOTIFICATION_RESPONSE_BODY>",
    "headers": {
        "elements-webhook-signature": "sha256=jHdbRx5EZAsOfTwAPJOGkNUzQMVVdu5VJlxcsk+G6jQ="
    },
}
# github.com/svix/svix-webhooks, go/webhook_test.go; the time is part of what is signed.
STANDARD = {
    "scheme": "standard",
    "key": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "body": '{"test": 2432232314}',
    "now": 1614265330,
    "headers": {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    },
}
RIGHT_E = ELEMENTS["headers"]["elements-webhook-signature"]
RIGHT_S = STANDARD["headers"]["webhook-signature"]
WRONG_S = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="


def elements(**headers: str) -> dict:
    return ELEMENTS | {"headers": {f"elements-webhook-{n}": v for n, v in headers.items()}}


def standard(now: int = 1614265330, **headers: str) -> dict:
    changed = STANDARD["headers"] | {f"webhook-{n}": v for n, v in headers.items()}
    return STANDARD | {"headers": changed, "now": now}


def plain_key() -> dict:
    """A key without `whsec_` is base64 as well, padded or not."""
    return STANDARD | {"key": STANDARD["key"].removeprefix("whsec_")}


CASES: dict[str, tuple[dict, bool]] = {
    "elements-published": (ELEMENTS, True),
    "elements-older-key": (elements(**{"signature": "sha256=AAAA", "signature-previous": RIGHT_E}),
                           True),
    "elements-older-of-two": (
        elements(**{"signature": "sha256=AAAA", "signature-previous": f"sha256=BBBB, {RIGHT_E}"}),
        True,
    ),
    "elements-other-body": (ELEMENTS | {"body": ELEMENTS["body"] + "\n"}, False),
    "elements-other-key": (ELEMENTS | {"key": "mySecretEventSignatureKey"}, False),
    "elements-no-header": (elements(), False),
    "elements-empty-header": (elements(signature=""), False),
    "elements-prefix-alone": (elements(signature="sha256="), False),
    "elements-without-prefix": (elements(signature=RIGHT_E.removeprefix("sha256=")), False),
    "elements-not-ascii": (elements(signature="sha256=\u00e4"), False),
    "standard-published": (STANDARD, True),
    "standard-one-of-several": (standard(signature=f"v1a,AAAA {WRONG_S} {RIGHT_S}"), True),
    "standard-plain-key": (plain_key(), True),
    "standard-at-five-minutes": (standard(now=1614265330 + 300), True),
    "standard-too-old": (standard(now=1614265330 + 301), False),
    "standard-too-new": (standard(now=1614265330 - 301), False),
    "standard-other-time": (standard(timestamp="1614265331"), False),
    "standard-no-number": (standard(timestamp="soon"), False),
    "standard-no-time": (standard(timestamp=""), False),
    "standard-other-id": (standard(id="msg_other"), False),
    "standard-wrong": (standard(signature=WRONG_S), False),
    "standard-other-version": (standard(signature="v2," + RIGHT_S.removeprefix("v1,")), False),
    "standard-nothing": (standard(signature=""), False),
    "standard-other-body": (STANDARD | {"body": '{"test": 2432232315}'}, False),
}

DRIVERS = {
    "python": (
        "receiver.py",
        """
import json, sys

def judge(case):
    body = case["body"].encode()
    if case["scheme"] == "elements":
        return verify_elements(case["key"], case["headers"], body)
    return verify_standard(case["key"], case["headers"], body, case["now"])

print(json.dumps([judge(case) for case in json.load(sys.stdin)]))
""",
    ),
    "js": (
        "receiver.js",
        """
const judge = (c) => c.scheme === "elements"
  ? verifyElements(c.key, c.headers, Buffer.from(c.body))
  : verifyStandard(c.key, c.headers, Buffer.from(c.body), c.now);
const cases = JSON.parse(require("node:fs").readFileSync(0, "utf-8"));
console.log(JSON.stringify(cases.map(judge)));
""",
    ),
    "go": (
        "main.go",
        """package main

import (
	"encoding/json"
	"net/http"
	"os"
	"time"
)

type example struct {
	Scheme, Key, Body string
	Headers           map[string]string
	Now               int64
}

func main() {
	var cases []example
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		panic(err)
	}
	verdicts := []bool{}
	for _, c := range cases {
		header := http.Header{}
		for name, value := range c.Headers {
			header.Set(name, value)
		}
		if c.Scheme == "elements" {
			verdicts = append(verdicts, VerifyElements(c.Key, header, []byte(c.Body)))
		} else {
			now := time.Unix(c.Now, 0)
			verdicts = append(verdicts, VerifyStandard(c.Key, header, []byte(c.Body), now))
		}
	}
	json.NewEncoder(os.Stdout).Encode(verdicts)
}
""",
    ),
}


def snippet(language: str) -> str:
    found = re.findall(rf"^```{language} receiver\n(.*?)^```$", PAGE, re.M | re.S)
    assert len(found) == 1, f"docs/receivers.md has {len(found)} blocks `{language} receiver`"
    return found[0]


def run(language: str, code: str, directory: Path) -> list[bool]:
    name, driver = DRIVERS[language]
    if language == "go":
        (directory / "receiver.go").write_text(code)
        (directory / "go.mod").write_text("module receiver\n\ngo 1.19\n")
        (directory / name).write_text(driver)
        command = [shutil.which("go") or "go", "run", "."]
    else:
        (directory / name).write_text(code + driver)
        program = sys.executable if language == "python" else shutil.which("node") or "node"
        command = [program, name]
    answer = subprocess.run(
        command,
        cwd=directory,
        input=json.dumps([case for case, _ in CASES.values()]),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.mark.parametrize("language", DRIVERS)
def test_each_language_tells_genuine_from_forged(language: str, tmp_path: Path) -> None:
    verdicts = run(language, snippet(language), tmp_path)
    wrong = [
        f"{name}: {verdict}"
        for (name, (_, right)), verdict in zip(CASES.items(), verdicts, strict=True)
        if verdict is not right
    ]
    assert not wrong, wrong


@pytest.mark.parametrize(
    ("language", "line", "instead"),
    [
        ("python", "> 300", "> 301"),
        ("python", "if abs(", "if False and abs("),
        ("python", "any(hmac.compare_digest(wanted.encode(), one.encode())", "any((True)"),
        ("js", "hmac.update(part)", "part"),
        ("js", 'digest("base64")', 'digest("hex")'),
    ],
)
def test_code_that_is_wrong_is_found(
    language: str, line: str, instead: str, tmp_path: Path
) -> None:
    """The cases notice a receiver that forgets one of the rules."""
    code = snippet(language)
    assert line in code
    verdicts = run(language, code.replace(line, instead), tmp_path)
    assert verdicts != [right for _, right in CASES.values()]
