"""Installs the clients: those of Debian, and in a folder of DEV_HOME those of PyPI and npm and what
is compiled."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clients.catalog import NODE_PACKAGES, PROXY_PROGRAMS, PYTHON_PACKAGES, Client
from rig import ROOT

PROGRAMS = Path(__file__).with_name("programs")
BIN = ROOT / "bin"
SECONDS = 600


class CannotInstall(Exception):
    """A command of an installation failed; the message has its last words."""


def install_programs(clients: Sequence[Client], ways: Sequence[str]) -> None:
    """Have bin/programs bring what is missing of Debian. Raises `CannotInstall`."""
    wanted = [name for client in clients for name in client.programs]
    wanted += [PROXY_PROGRAMS[way] for way in ways if way in PROXY_PROGRAMS]
    if subprocess.run([str(BIN / "programs"), *dict.fromkeys([*wanted, "openssl"])]).returncode:
        raise CannotInstall("not every program of Debian is there, see above")


@dataclass(frozen=True)
class Folder:
    """Where the clients are: `python` is a virtual environment, `node` has node_modules, `build`
    the compiled programs."""

    folder: Path

    def fill(self, clients: Sequence[Client], *, upgrade: bool) -> None:
        """Install what these clients need and is missing; with `upgrade` the newest of everything.
        Raises `CannotInstall`."""
        needed = " ".join(client.command for client in clients)
        if upgrade:
            shutil.rmtree(self.folder, ignore_errors=True)
        if "{python}" in needed:
            self._fill_python()
        if "{node}" in needed:
            self._fill_node()
        (self.folder / "build").mkdir(parents=True, exist_ok=True)
        if "{build} Shot" in needed:
            _run(["javac", "-d", str(self.folder / "build"), str(PROGRAMS / "Shot.java")])
        if "{build}/shot" in needed:
            self._build_go()

    def command(self, client: Client) -> list[str]:
        """The command line of a client up to its own arguments."""
        places = {name: str(self.folder / name) for name in ("python", "node", "build")}
        return [word.format(programs=PROGRAMS, **places) for word in shlex.split(client.command)]

    def _fill_python(self) -> None:
        python = self.folder / "python" / "bin" / "python"
        names = ", ".join(PYTHON_PACKAGES)
        check = [str(python), "-c", f"import {names}"]
        if python.exists() and subprocess.run(check, capture_output=True).returncode == 0:
            return
        say(f"installing {names}")
        shutil.rmtree(self.folder / "python", ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(self.folder / "python")])
        quiet = ("--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:")
        _run([str(python), "-m", "pip", "install", *quiet, *PYTHON_PACKAGES])

    def _fill_node(self) -> None:
        """A module finds its packages beside itself only, so the programs are copied there."""
        node = self.folder / "node"
        if not all(
            (node / "node_modules" / name / "package.json").exists() for name in NODE_PACKAGES
        ):
            say(f"installing {', '.join(NODE_PACKAGES)}")
            shutil.rmtree(node, ignore_errors=True)
            node.mkdir(parents=True)
            (node / "package.json").write_text("{}\n")
            quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
            _run(["npm", "install", *quiet, *NODE_PACKAGES], node)
        for name in NODE_PACKAGES:
            shutil.copy(PROGRAMS / f"{name}.mjs", node)

    def _build_go(self) -> None:
        build = self.folder / "build"
        own = {
            "GO111MODULE": "off",
            "GOCACHE": str(build / "go-cache"),
            "GOPATH": str(build / "go"),
        }
        _run(["go", "build", "-o", str(build / "shot"), str(PROGRAMS / "shot.go")], environment=own)


def _run(
    command: Sequence[str], folder: Path = PROGRAMS, environment: Mapping[str, str] | None = None
) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()[-2000:]
        raise CannotInstall(f"{shlex.join(command)} ended with code {done.returncode}:\n{words}")


def say(words: str) -> None:
    """One line for the person at the terminal; standard output is for the tables."""
    print(f"bin/clients: {words}", file=sys.stderr, flush=True)
