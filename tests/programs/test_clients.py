"""bin/clients, as far as it can be tried without its clients: the lists, the page and the line."""

import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from clients import catalog
from clients.page import PAGE
from clients.slow_line import slow_line
from rig import ROOT

PROGRAMS = ROOT / "tests" / "clients" / "programs"
NAMES = [client.name for client in catalog.CLIENTS]
ADDRESS = "127.1.2.3"


def section(title: str) -> str:
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.M | re.S)
    return found


def cells(title: str) -> list[list[str]]:
    """The rows of a section's table, its header first."""
    rows = re.findall(r"^\| (.*) \|$", section(title), re.M)
    return [[cell.strip() for cell in row.split(" | ")] for row in rows]


@pytest.mark.parametrize("title", [catalog.SHOT, catalog.REFUSAL])
def test_the_page_has_a_cell_for_every_client_and_way(title: str) -> None:
    header, _, *rows = cells(title)

    assert header == ["client", "version", *catalog.WAYS]
    assert [row[0].strip("`") for row in rows] == NAMES
    assert all(all(row) for row in rows)


def test_the_page_has_the_version_of_every_proxy() -> None:
    introduction = PAGE.read_text().split("\n## ")[0]

    for way in catalog.PROXY_PROGRAMS:
        assert re.search(rf"\b{way} \d+\.\d+", introduction), way


def test_what_cannot_work_is_a_cell_and_the_page_says_why() -> None:
    said = section("What cannot work")

    for (title, client, way), reason in catalog.CANNOT_WORK.items():
        assert title in (catalog.SHOT, catalog.REFUSAL)
        assert client in NAMES and way in catalog.WAYS
        assert f"`{client}`" in said and way in said and reason.why in said


def test_every_program_belongs_to_a_client_and_every_client_to_a_program() -> None:
    """Shot.java and shot.go are built under their names without the suffix."""
    used = {
        word.rsplit("/", 1)[-1]
        for client in catalog.CLIENTS
        for word in client.command.split()
        if word.startswith(("{programs}/", "{node}/", "{build}/")) or word == "Shot"
    }
    programs = {path.name: path.stem for path in PROGRAMS.iterdir()}

    assert {name if name in used else stem for name, stem in programs.items()} == used


def test_every_way_but_the_direct_one_has_its_proxy() -> None:
    assert [catalog.DIRECT, *catalog.PROXY_PROGRAMS] == list(catalog.WAYS)


def test_list_needs_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    """In a checkout without .venv, on a machine without apt-get, npm and pip."""
    checkout, programs = tmp_path / "checkout", tmp_path / "programs"
    shutil.copytree(ROOT / "bin", checkout / "bin", symlinks=True)
    shutil.copytree(ROOT / "tests" / "clients", checkout / "tests" / "clients")
    programs.mkdir()
    for name in ("bash", "dirname", "env"):
        (programs / name).symlink_to(str(shutil.which(name)))
    (programs / "python3").symlink_to(Path(sys.executable).resolve())
    before = sorted(tmp_path.rglob("*"))

    said = subprocess.run(
        [str(checkout / "bin" / "clients"), "--list"],
        env={"PATH": str(programs), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert (said.returncode, said.stderr) == (0, "")
    lines = said.stdout.splitlines()
    assert [line for line in lines if ": " in line] == [
        f"{client.name}: {' '.join(client.programs) or 'PyPI'}" for client in catalog.CLIENTS
    ]
    assert lines[-len(catalog.WAYS) :] == list(catalog.WAYS)
    assert sorted(tmp_path.rglob("*")) == before


# The line


def test_a_line_has_its_pace_and_its_address_and_answers_are_not_slowed() -> None:
    sent, answered = bytes(200_000), bytes(2_000_000)
    with socket.create_server(("127.0.0.1", 0)) as server:
        with slow_line(server.getsockname()[1], ADDRESS, 400_000) as port:
            started = time.monotonic()
            with socket.create_connection(("127.0.0.1", port), 10) as near:
                threading.Thread(target=lambda: (near.sendall(sent), end(near))).start()
                far, (address, _) = server.accept()
                with far:
                    assert read(far) == sent
                    uploaded = time.monotonic() - started
                    far.sendall(answered)
                    end(far)
                    assert read(near) == answered
    assert address == ADDRESS
    assert 0.4 < uploaded
    assert time.monotonic() - started - uploaded < 2


def test_a_reset_goes_through_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with slow_line(server.getsockname()[1], ADDRESS, 1_000_000) as port:
            with socket.create_connection(("127.0.0.1", port), 10) as near:
                near.sendall(b"unread")
                far, _ = server.accept()
                # What is unread when an end is closed makes its kernel send a reset.
                assert far.recv(6, socket.MSG_PEEK) == b"unread"
                far.close()
                with pytest.raises(ConnectionResetError):
                    near.recv(1)


def end(one: socket.socket) -> None:
    one.shutdown(socket.SHUT_WR)


def read(one: socket.socket) -> bytes:
    """Everything up to the end of sending."""
    found = b""
    while piece := one.recv(65536):
        found += piece
    return found
