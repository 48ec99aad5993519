"""The transcript of spec/examples.md is what happens: its commands, pasted into a shell."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from admin import ADMIN_PASSWORD, ensure_account
from camera import PASSWORD
from photos import jpeg
from rig import ROOT, Service

PAGE = ROOT / "spec" / "examples.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
MARK = "== the next block =="
SECONDS = 60


def blocks() -> list[tuple[str, str]]:
    """Language and text of each fenced block."""
    return BLOCK.findall(PAGE.read_text())


def variables(service: Service, photo: Path) -> str:
    """What a reader puts into the first block."""
    return (
        f"SERVICE={service.url}\nADMIN_PASSWORD='{ADMIN_PASSWORD}'\n"
        f"INGEST_PASSWORD='{PASSWORD}'\nPHOTO={photo}\n"
    )


def shape(shown: str) -> re.Pattern[str]:
    """A shown answer, with anything in place of each `…`."""
    return re.compile(".*?".join(re.escape(part) for part in shown.strip().split("…")), re.S)


@pytest.mark.slow
def test_the_transcript_is_what_happens(service: Service, tmp_path: Path) -> None:
    ensure_account(service)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg())
    (_, given), *rest = blocks()
    steps = [text for language, text in rest if language == "sh"]
    script = f"\necho '{MARK}'\n".join([variables(service, photo), *steps])

    run = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=script,
        cwd=tmp_path,
        env={**os.environ, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )

    printed = iter(part.strip() for part in run.stdout.split(MARK)[1:])
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stderr == ""
    assert set(re.findall(r"^\w+(?==)", given, re.M)) == set(
        re.findall(r"^\w+(?==)", variables(service, photo), re.M)
    )
    output = ""
    for language, text in rest:
        if language == "sh":
            output = next(printed)
        else:
            assert shape(text).fullmatch(output), f"{text}\nis not what came:\n{output}"
