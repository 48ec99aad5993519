"""The admins' accounts, made and changed at a terminal."""

import json
import os
import select
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from admin import accounts, secrets_dir, sign_in
from camera import PASSWORD, Camera
from conftest import ProgramOf, RunProgram
from rig import ROOT, Service
from tables import Rows, Tables

from service.crypto import verify_password
from service.storage.accounts import Admins

Terminal = Callable[..., tuple[int, str]]

COMMAND = str(ROOT / "bin" / "admin")
WANTED = "a password with enough letters"
SECONDS = 30.0
# Gives its child a terminal of its own and passes on what is typed and shown.
ON_A_TERMINAL = """
import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
"""


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "secrets"


@pytest.fixture
def environment(secrets: Path, tables: Tables) -> dict[str, str]:
    given = {"PATH": os.environ["PATH"], "SECRETS_DIR": str(secrets), "DATABASE_URL": tables.url}
    return given | {name: value for name, value in os.environ.items() if "COVERAGE" in name}


@pytest.fixture
def run(program_of: ProgramOf, environment: dict[str, str]) -> RunProgram:
    return program_of("admin", environment)


@pytest.fixture
def terminal(environment: dict[str, str]) -> Terminal:
    """Run the command on a terminal and answer its prompts; gives the exit code and the screen."""

    def run(*arguments: str, typed: tuple[str, ...]) -> tuple[int, str]:
        screen = b""
        with subprocess.Popen(
            [sys.executable, "-c", ON_A_TERMINAL, COMMAND, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            bufsize=0,
        ) as process:
            assert process.stdin and process.stdout
            prompts = iter(typed)
            end = time.monotonic() + SECONDS
            while select.select([process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                if not (piece := process.stdout.read(4096)):
                    break
                screen += piece
                if screen.endswith(b": ") and (answer := next(prompts, None)) is not None:
                    process.stdin.write(answer.encode() + b"\n")
            return process.wait(max(0.1, end - time.monotonic())), screen.decode()

    return run


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_add_makes_an_account(run: RunProgram, secrets: Path) -> None:
    done = run("add", "serg", text=f"{WANTED}\n")

    assert (done.returncode, done.stdout, done.stderr) == (0, "added serg\n", "")
    account = Admins(secrets).find("serg")
    assert account is not None
    assert verify_password(WANTED, account.password_hash)


def test_only_the_owner_may_read_what_it_writes(run: RunProgram, secrets: Path) -> None:
    assert run("add", "serg", text=WANTED).returncode == 0

    assert mode(secrets) == 0o700
    assert {path.name: mode(path) for path in secrets.iterdir()} == {
        "runtime_credentials.json": 0o600,
        ".runtime_credentials.json.lock": 0o600,
    }


def test_a_file_that_others_may_read_is_closed_at_the_next_change(
    run: RunProgram, secrets: Path
) -> None:
    run("add", "serg", text=WANTED)
    path = secrets / "runtime_credentials.json"
    path.chmod(0o644)

    assert run("add", "igor", text=WANTED).returncode == 0
    assert mode(path) == 0o600


def test_the_file_keeps_hashes_not_passwords(run: RunProgram, secrets: Path) -> None:
    run("add", "serg", text=WANTED)

    text = (secrets / "runtime_credentials.json").read_text()
    assert WANTED not in text
    entry = json.loads(text)["admins"]["serg"]
    assert set(entry) == {"password_hash", "changed_at"}
    assert entry["password_hash"].startswith("$argon2id$")


def test_list_names_every_admin(run: RunProgram) -> None:
    assert "there are no admins yet" in run("list").stdout
    for name in ("serg", "igor"):
        assert run("add", name, text=WANTED).returncode == 0

    done = run("list")

    assert (done.returncode, done.stdout) == (0, "igor\nserg\n")


def test_password_changes_one_account_and_no_other(run: RunProgram, secrets: Path) -> None:
    for name in ("serg", "igor"):
        run("add", name, text=WANTED)
    before = Admins(secrets).find("igor")

    done = run("password", "serg", text="something else\n")

    assert (done.returncode, done.stdout) == (0, "changed serg\n")
    changed = Admins(secrets).find("serg")
    assert changed is not None
    assert verify_password("something else", changed.password_hash)
    assert Admins(secrets).find("igor") == before


def test_remove_takes_an_account_away(run: RunProgram, secrets: Path) -> None:
    for name in ("serg", "igor"):
        run("add", name, text=WANTED)

    done = run("remove", "serg")

    assert (done.returncode, done.stdout) == (0, "removed serg\n")
    assert Admins(secrets).names() == ["igor"]


@pytest.mark.parametrize(
    ("arguments", "text", "complaint"),
    [
        (("add", "serg"), WANTED, "serg exists already"),
        (("add", "igor"), "1234567\n", "at least 8 characters"),
        (("add", "igor"), "", "at least 8 characters"),
        (("password", "serg"), "short", "at least 8 characters"),
        (("password", "nobody"), WANTED, "there is no nobody"),
        (("remove", "nobody"), "", "there is no nobody"),
        (("add", "Igor"), WANTED, "lower-case"),
        (("add", "igor\n"), WANTED, "lower-case"),
        (("add", "../igor"), WANTED, "lower-case"),
        (("add", "i" * 101), WANTED, "lower-case"),
        (("add", "игорь"), WANTED, "lower-case"),
        (("ingest-password",), "1234567\n", "at least 8 characters"),
        (("ingest-password",), "12345678\n", "one of the commonest"),
        (("ingest-password",), " a new one\n", "white space"),
        (("ingest-password",), "a new\tone\n", "control characters"),
        (("add", "igor"), "password\n", "one of the commonest"),
        (("add", "igor"), "Password1\n", "one of the commonest"),
        (("password", "serg"), "iloveyou", "one of the commonest"),
    ],
)
def test_it_refuses_and_changes_nothing(
    run: RunProgram,
    secrets: Path,
    rows: Rows,
    arguments: tuple[str, ...],
    text: str,
    complaint: str,
) -> None:
    run("add", "serg", text=WANTED)
    before = (secrets / "runtime_credentials.json").read_bytes()

    refused = run(*arguments, text=text)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("bin/admin: ")
    assert complaint in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (secrets / "runtime_credentials.json").read_bytes() == before
    assert rows("select * from audit_log") == []


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("grow",),
        ("add",),
        ("list", "serg"),
        ("add", "serg", WANTED),
        ("add", "--password", "x"),
    ],
)
def test_wrong_use_is_told_apart(
    run: RunProgram, secrets: Path, arguments: tuple[str, ...]
) -> None:
    refused = run(*arguments, text=WANTED)

    assert refused.returncode == 2
    assert "usage: bin/admin" in refused.stderr
    assert not secrets.exists()


def test_a_folder_it_cannot_use_is_named(run: RunProgram, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    refused = run("add", "serg", text=WANTED, SECRETS_DIR=str(tmp_path / "file"))

    assert refused.returncode == 2
    assert "SECRETS_DIR" in refused.stderr


def test_a_damaged_file_is_not_written_over(run: RunProgram, secrets: Path) -> None:
    run("add", "serg", text=WANTED)
    path = secrets / "runtime_credentials.json"
    path.write_text('{"admins": {')

    refused = run("add", "igor", text=WANTED)

    assert refused.returncode == 1
    assert "runtime_credentials.json" in refused.stderr
    assert path.read_text() == '{"admins": {'


def test_two_at_once_lose_neither(environment: dict[str, str], secrets: Path) -> None:
    names = [f"admin-{number}" for number in range(4)]
    started = [
        subprocess.Popen(
            [COMMAND, "add", name], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for name in names
    ]
    for process in started:
        process.communicate(WANTED.encode(), SECONDS)

    assert [process.returncode for process in started] == [0] * 4
    assert Admins(secrets).names() == names


def test_on_a_terminal_it_asks_twice_and_shows_nothing(terminal: Terminal, secrets: Path) -> None:
    code, screen = terminal("add", "serg", typed=(WANTED, WANTED))

    assert code == 0, screen
    assert "Password: " in screen
    assert "Once more: " in screen
    assert "added serg" in screen
    assert WANTED not in screen
    account = Admins(secrets).find("serg")
    assert account is not None
    assert verify_password(WANTED, account.password_hash)


def test_on_a_terminal_a_mistyped_password_is_refused(terminal: Terminal, secrets: Path) -> None:
    code, screen = terminal("add", "serg", typed=(WANTED, WANTED + "!"))

    assert code == 1
    assert "the two passwords differ" in screen
    assert Admins(secrets).names() == []


def test_a_name_is_refused_before_it_asks(terminal: Terminal) -> None:
    code, screen = terminal("password", "nobody", typed=())

    assert code == 1
    assert "Password" not in screen


def test_a_running_service_obeys_at_once(run: RunProgram, service: Service) -> None:
    folder = str(secrets_dir(service))
    done = run("add", "anna", text=WANTED, SECRETS_DIR=folder)
    assert done.returncode == 0, done.stderr
    try:
        with sign_in(service, "anna", WANTED) as anna:
            assert anna.get("/api/session").status_code == 200
            run("password", "anna", text="something else", SECRETS_DIR=folder)
            assert anna.get("/api/session").status_code == 401
    finally:
        accounts(service).remove("anna")


def test_ingest_password_is_set_on_every_slot_at_once(
    run: RunProgram, camera: Camera, rows: Rows
) -> None:
    assert camera.shoot(password=PASSWORD).status_code == 200

    done = run("ingest-password", text="a new one\n")

    assert (done.returncode, done.stdout) == (0, "set on 15 slots\n")
    assert camera.shoot(password=PASSWORD).status_code == 401
    assert camera.shoot(slot="slot-015", password="a new one").status_code == 200
    [audit] = rows("select actor, address, action, details from audit_log")
    assert audit == {
        "actor": "bin/admin",
        "address": "console",
        "action": "settings.change",
        "details": {"changed": ["ingest_password"]},
    }
    assert "a new one" not in json.dumps(rows("select to_jsonb(s) as row from settings s"))


def test_ingest_password_needs_no_secrets_folder_and_the_others_no_database(
    run: RunProgram, secrets: Path
) -> None:
    assert run("list", DATABASE_URL=None).returncode == 0
    assert run("ingest-password", text="a new one", SECRETS_DIR=None).returncode == 0
    refused = run("ingest-password", text="a new one", DATABASE_URL=None)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "DATABASE_URL" in refused.stderr


def test_a_database_that_is_away_is_told(run: RunProgram) -> None:
    refused = run(
        "ingest-password", text="a new one", DATABASE_URL="postgresql://127.0.0.1:1/nothing"
    )

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "The database does not answer." in refused.stderr
    assert "Traceback" not in refused.stderr
