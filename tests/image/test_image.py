"""The image: small, without a shell, for a user without rights, and it does its work that way."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from conftest import ROOT, SEALED, Podman

SIZE_MAX = 60_000_000


@pytest.fixture(scope="session")
def files(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tarfile.TarInfo]:
    """Every file of the image by its path."""
    path = tmp_path_factory.mktemp("image") / "root.tar"
    made = podman("create", "--pull=never", podman.image)
    assert made.returncode == 0, made.stderr
    container = made.stdout.strip()
    try:
        saved = podman("export", "-o", str(path), container)
        assert saved.returncode == 0, saved.stderr
    finally:
        podman("rm", container)
    with tarfile.open(path) as archive:
        return {"/" + member.name.lstrip("./"): member for member in archive}


def test_is_small(podman: Podman) -> None:
    size = int(podman("image", "inspect", "--format", "{{.Size}}", podman.image).stdout)
    print(f"image: {size / 1e6:.1f} MB")
    assert 10_000_000 < size <= SIZE_MAX


def test_says_what_it_is_and_runs_as_a_number(podman: Podman) -> None:
    (image,) = json.loads(podman("image", "inspect", podman.image).stdout)
    labels = image["Labels"]
    assert labels["org.opencontainers.image.title"] == "eventrelay"
    cmake = (ROOT / "CMakeLists.txt").read_text("utf-8")
    version = re.search(r"project\(eventrelay VERSION (\S+)", cmake).group(1)
    assert labels["org.opencontainers.image.version"] == version
    assert re.fullmatch(r"[0-9a-f]{40}|unknown", labels["org.opencontainers.image.revision"])
    assert image["User"] == "65532:65532"


def test_holds_the_programs_and_no_shell(files: dict[str, tarfile.TarInfo]) -> None:
    programs = {path for path in files if path.startswith("/usr/bin/")}
    assert programs == {f"/usr/bin/eventrelay{end}" for end in ("", "-ingest", "-relay")}
    for path, member in files.items():
        name = path.rsplit("/", 1)[-1]
        assert member.isdir() or name not in (
            "sh",
            "bash",
            "dash",
            "busybox",
            "apt",
            "apt-get",
            "dpkg",
            "perl",
        ), path
        assert not path.startswith(("/usr/share", "/src", "/root", "/var/lib/apt")), path
    assert not [p for p, m in files.items() if m.isfile() and m.mode & 0o6000]


def test_names_every_package_inside(files: dict[str, tarfile.TarInfo], podman: Podman) -> None:
    packages = {p.rsplit("/", 1)[-1] for p in files if p.startswith("/var/lib/dpkg/status.d/")}
    assert {"libc6", "libssl3", "librdkafka1", "ca-certificates"} <= {
        re.sub(r"t64$", "", package) for package in packages
    }
    assert len(packages) >= 12


def test_has_each_library_that_a_program_asks_for(podman: Podman) -> None:
    for program in ("eventrelay", "eventrelay-ingest", "eventrelay-relay"):
        answer = podman.run(
            "--version", options=["--network", "none", "--entrypoint", f"/usr/bin/{program}"]
        )
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.startswith(program)


def test_delivers_an_event_read_only_without_capabilities(podman: Podman) -> None:
    answer = podman.run("dev", "--once")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "signature verified" in answer.stdout


def test_refuses_a_bad_configuration_with_78(podman: Podman, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("version: 1\ningest: {listn: x}\n")
    answer = podman.run(
        "-c",
        "/config.yaml",
        options=[
            "--network",
            "none",
            "--entrypoint",
            "/usr/bin/eventrelay-ingest",
            "--volume",
            f"{path}:/config.yaml:ro",
        ],
    )
    assert answer.returncode == 78
    assert "ingest.listn" in answer.stderr and "ingest.listen" in answer.stderr


def test_a_service_ends_in_order_when_it_is_told_to(podman: Podman, tmp_path: Path) -> None:
    """As process 1 of its container, where signals without a handler are ignored."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "version: 1\nkafka: {bootstrap.servers: '127.0.0.1:1'}\n"
        "ingest: {listen: '127.0.0.1:0', drain_delay: 0s}\n"
    )
    started = podman(
        "run",
        "--detach",
        *SEALED,
        "--network",
        "none",
        "--volume",
        f"{path}:/config.yaml:ro",
        "--entrypoint",
        "/usr/bin/eventrelay-ingest",
        podman.image,
        "-c",
        "/config.yaml",
    )
    assert started.returncode == 0, started.stderr
    container = started.stdout.strip()
    try:
        running = podman("inspect", "--format", "{{.State.Running}}", container).stdout.strip()
        assert running == "true", podman("logs", container).stderr
        stopped = podman("stop", "--time", "30", container)
        assert stopped.returncode == 0, stopped.stderr
        code = podman("inspect", "--format", "{{.State.ExitCode}}", container).stdout.strip()
        assert code == "0", podman("logs", container).stderr
    finally:
        podman("rm", "--force", container)


def test_the_file_of_the_build_is_sound() -> None:
    text = (ROOT / "Containerfile").read_text("utf-8")
    assert re.search(r"^ARG BASE=debian:13-slim$", text, re.M)
    stages = re.findall(r"^FROM (\S+)", text, re.M)
    assert stages[-1] == "scratch"
    script = subprocess.run(["bash", "-n", ROOT / ".ci/image-root"], check=False)
    assert script.returncode == 0
