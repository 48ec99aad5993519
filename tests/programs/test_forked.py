"""A forked program is what one in a new interpreter is, but for the time its imports take."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from forked import Forks
from rig import ROOT, Program, Start, inherited, spawn, until

# What a program finds when it starts.
TELL = """
import json, os, signal, sys, threading
names = ("SIGTERM", "SIGINT", "SIGCHLD", "SIGPIPE", "SIGHUP")
print(json.dumps({
    "name": __name__,
    "file": __file__,
    "arguments": sys.argv,
    "path": sys.path,
    "folder": os.getcwd(),
    "environment": dict(sorted(os.environ.items())),
    "leads its session": os.getsid(0) == os.getpid(),
    "descriptors": [number for number in range(64) if os.path.exists(f"/proc/self/fd/{number}")],
    "input": os.readlink("/proc/self/fd/0"),
    "output": [os.readlink(f"/proc/self/fd/{number}") for number in (1, 2)],
    "signals": [str(signal.getsignal(getattr(signal, name))) for name in names],
    "wakes": signal.set_wakeup_fd(-1),
    "threads": threading.active_count(),
    "buffers": [sys.stdout.line_buffering, sys.stdout.encoding, sys.stderr.encoding],
    "optimised": sys.flags.optimize,
}))
"""


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    forks = Forks(tmp_path_factory.mktemp("forks") / "log")
    yield forks
    forks.stop()


def start_script(
    folder: Path, text: str, start: Start, *arguments: str, **environment: str
) -> Program:
    script = folder / "program.py"
    script.write_text(text)
    command = [sys.executable, str(script), *arguments]
    return Program(command, environment, folder / "output.log", folder, start)


def test_it_finds_what_a_program_of_its_own_interpreter_finds(forks: Forks, tmp_path: Path) -> None:
    told = []
    for start in (forks.start, spawn):
        program = start_script(tmp_path, TELL, start, "--an", "argument", GREETING="hello")
        assert program.wait() == 0, program.output
        told.append(json.loads(program.output))

    forked, spawned = told
    assert forked == spawned
    assert forked["environment"]["GREETING"] == "hello"
    assert forked["name"] == "__main__"


def test_it_has_the_environment_it_was_given(forks: Forks, tmp_path: Path) -> None:
    script, log = tmp_path / "program.py", tmp_path / "output.log"
    script.write_text("import os; print(*os.environ)")
    forked = forks.start([sys.executable, str(script)], {"ONLY": "this"}, log, tmp_path)
    assert forked.wait(10) == 0
    assert log.read_text() == "ONLY\n"


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("print('done')", 0, "done"),
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('no way')", 1, "no way"),
        ("raise ValueError('broken')", 1, "ValueError: broken"),
        ("import os; os._exit(7)", 7, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
        ("import atexit; atexit.register(print, 'the end')", 0, "the end"),
    ],
)
def test_it_ends_as_a_program_does(
    forks: Forks, tmp_path: Path, text: str, code: int, says: str
) -> None:
    program = start_script(tmp_path, text, forks.start)

    assert program.wait() == code
    assert says in program.output
    assert not program.is_running
    assert not psutil.pid_exists(program.pid)


def test_it_is_asked_to_end_and_made_to(forks: Forks, tmp_path: Path) -> None:
    sleep = "import time; print('here', flush=True); time.sleep(60)"
    asked = start_script(tmp_path, sleep, forks.start)
    asked.wait_until(lambda: "here" in asked.output, "it runs")
    with pytest.raises(subprocess.TimeoutExpired):
        asked.wait(0.05)
    assert asked.is_running
    assert asked.stop() == -signal.SIGTERM

    made = start_script(tmp_path, sleep, forks.start)
    assert made.kill() == -signal.SIGKILL
    made.signal(signal.SIGTERM)


def test_no_two_draw_the_same_lots(forks: Forks, tmp_path: Path) -> None:
    lots = "import random, secrets, uuid; print(random.random(), secrets.token_hex(), uuid.uuid4())"
    drawn = []
    for _ in range(2):
        program = start_script(tmp_path, lots, forks.start)
        assert program.wait() == 0
        drawn += program.output.split()
    assert len(set(drawn)) == 6


def test_nothing_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text("import time; time.sleep(60)")
    starter = f"""
import os, sys, time
from pathlib import Path
from forked import Forks
from rig import Program
forks = Forks(Path({str(tmp_path)!r}) / "forks.log")
command = [sys.executable, {str(script)!r}]
program = Program(command, {{}}, Path({str(tmp_path)!r}) / "output.log", start=forks.start)
print(program.pid, flush=True)
time.sleep(60)
"""
    here = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    environment = inherited() | {"PYTHONPATH": here}
    with subprocess.Popen(
        [sys.executable, "-c", starter], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        program = psutil.Process(int(process.stdout.readline()))
        server = program.parent()
        process.kill()
    until(lambda: not program.is_running() and not server.is_running(), "both have ended")
