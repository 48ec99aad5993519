import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from rig import ROOT

from service.errors import StorageError, StorageFull
from service.storage.media import EXTENSIONS, MARK, Media, create, disk_failure, left_behind

JOB = UUID("3f0e8a52-5a4d-4c55-9d0c-4f6c1d2b7a10")
RESULT = f"results/3f/{JOB}.jpg"
PICTURE = b"picture" * 40_000
PURPOSES = ("upload", "photo", "turbotext-template-0")
HOUR = 3600.0
WORKER = 4711


@pytest.fixture
def media(tmp_path: Path) -> Media:
    media = Media(tmp_path / "media")
    media.prepare()
    return media


def files(media: Media) -> list[str]:
    found = (path for path in media.root.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(media.root)) for path in found)


def make_older(path: Path, seconds: float) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_a_file_is_kept_whole_under_its_job(media: Media) -> None:
    path, sha256 = media.keep("results", JOB, "image/jpeg", PICTURE)

    assert path == RESULT
    assert sha256 == hashlib.sha256(PICTURE).digest()
    assert media.path(path).read_bytes() == PICTURE
    assert files(media) == [RESULT]


@pytest.mark.parametrize(("mime", "extension"), EXTENSIONS.items())
def test_a_name_ends_as_its_type_wants(media: Media, mime: str, extension: str) -> None:
    assert media.keep("previews", JOB, mime, PICTURE)[0] == f"previews/3f/{JOB}.{extension}"


def test_keeping_again_replaces_the_whole_file(media: Media) -> None:
    media.keep("results", JOB, "image/jpeg", PICTURE)
    with media.path(RESULT).open("rb") as being_read:
        media.keep("results", JOB, "image/jpeg", b"another")

        assert being_read.read() == PICTURE
    assert media.path(RESULT).read_bytes() == b"another"


# A process of its own, because it dies in the middle. The kernel ends it at a file's third block
# (SIGXFSZ), or it ends itself as it makes the nth call of a function of `os`.
KEEP_AND_DIE = """
import os, resource, signal, sys
from pathlib import Path
from uuid import UUID
from service.storage.media import Media

root, job, point, count = sys.argv[1:]
if point == "write":
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (12288, 12288))
else:
    real, left = getattr(os, point), int(count)
    def die_in_time(*args):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args)
    setattr(os, point, die_in_time)
Media(Path(root)).keep("results", UUID(job), "image/jpeg", b"picture" * 40_000)
"""


def keep_and_die(media: Media, point: str, count: int) -> int:
    ended = subprocess.run(
        [sys.executable, "-c", KEEP_AND_DIE, str(media.root), str(JOB), point, str(count)],
        cwd=ROOT,
        timeout=60,
    )
    return ended.returncode


@pytest.mark.parametrize(("point", "count"), [("write", 0), ("fsync", 1), ("rename", 1)])
def test_killed_before_the_rename_there_is_no_public_file(
    media: Media, point: str, count: int
) -> None:
    assert keep_and_die(media, point, count) in (-signal.SIGKILL, -signal.SIGXFSZ)

    [left] = files(media)
    assert left.startswith("temp/")
    assert left_behind(media.list_temp(), set(), HOUR) == []
    make_older(media.path(left), 2 * HOUR)
    assert left_behind(media.list_temp(), set(), HOUR) == [media.path(left)]


def test_killed_after_the_rename_the_public_file_is_whole(media: Media) -> None:
    assert keep_and_die(media, "fsync", 2) == -signal.SIGKILL

    assert files(media) == [RESULT]
    assert media.path(RESULT).read_bytes() == PICTURE


@pytest.mark.parametrize(("point", "count"), [("write", 0), ("rename", 1)])
def test_what_a_killed_process_left_does_not_stand_in_the_way(
    media: Media, point: str, count: int
) -> None:
    keep_and_die(media, point, count)

    media.keep("results", JOB, "image/jpeg", PICTURE)
    for path in left_behind(media.list_temp(), set(), stale_seconds=0):
        path.unlink()

    assert files(media) == [RESULT]
    assert media.path(RESULT).read_bytes() == PICTURE


KEEP_ON_A_FULL_DISK = """
import sys
from pathlib import Path
from uuid import uuid4
from service.errors import PhotoslotError
from service.storage.media import Media

media = Media(Path(sys.argv[1]))
media.prepare()
try:
    media.keep("results", uuid4(), "image/jpeg", bytes(2**21))
except PhotoslotError as failure:
    print(failure.reason, [path.name for path in media.root.rglob("*") if path.is_file()])
"""


def on_a_small_disk(
    folder: Path, program: str, *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """Run a program of Python whose first argument is a folder with 1 MB of room."""
    in_a_namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*in_a_namespace, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    mount = f"mount -t tmpfs -o size=1m none {shlex.quote(str(folder))}"
    run = [sys.executable, "-c", program, str(folder), *arguments]
    return subprocess.run(
        [*in_a_namespace, "sh", "-c", f'{mount} && exec "$@"', "sh", *run],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_full_disk_keeps_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    ended = on_a_small_disk(tmp_path, KEEP_ON_A_FULL_DISK)

    assert (ended.stdout, ended.stderr) == ("storage_full []\n", "")


def test_a_full_disk_is_told_from_a_broken_one() -> None:
    assert isinstance(disk_failure(OSError(28, "No space left on device")), StorageFull)
    assert isinstance(disk_failure(OSError(122, "Disk quota exceeded")), StorageFull)
    assert isinstance(disk_failure(OSError(5, "Input/output error")), StorageError)
    assert isinstance(disk_failure(PermissionError(13, "Permission denied")), StorageError)


def test_the_words_of_the_disk_are_for_the_log_only(media: Media) -> None:
    with pytest.raises(StorageError) as raised:
        Media(media.root / "missing").keep("results", JOB, "image/jpeg", PICTURE)

    assert "No such file" in (raised.value.private or "")
    assert str(media.root) not in str(raised.value.body())


def test_without_its_folder_nothing_can_be_kept_or_counted(media: Media) -> None:
    missing = Media(media.root / "missing")

    with pytest.raises(StorageError):
        missing.keep("results", JOB, "image/jpeg", PICTURE)
    with pytest.raises(StorageError):
        missing.free_bytes()
    with pytest.raises(StorageError):
        missing.list_temp()
    with pytest.raises(StorageError):
        create(missing.root / "temp" / "upload")


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "media").write_bytes(b"")

    with pytest.raises(StorageError):
        Media(tmp_path / "media").prepare()


def test_the_folders_come_back_by_themselves(media: Media) -> None:
    media.path("results").rmdir()

    media.prepare()

    media.keep("results", JOB, "image/jpeg", PICTURE)
    assert files(media) == [RESULT]


@pytest.mark.parametrize("mark", [None, "", f"{uuid4()}\n"], ids=["none", "empty", "another's"])
def test_nothing_is_made_in_a_folder_that_is_not_ours(tmp_path: Path, mark: str | None) -> None:
    media = Media(tmp_path / "media", owner=uuid4())
    media.root.mkdir()
    if mark is not None:
        (media.root / MARK).write_text(mark)
    before = files(media)

    for make in (
        media.prepare,
        media.probe,
        lambda: media.keep("results", JOB, "image/jpeg", PICTURE),
        lambda: media.remove([RESULT]),
        lambda: media.is_missing(RESULT),
        lambda: media.has_whole(RESULT, 1),
        lambda: media.temp_files(JOB, WORKER).__enter__(),
    ):
        with pytest.raises(StorageError):
            make()

    assert (files(media), [path.name for path in media.root.iterdir()]) == (before, before)


def test_a_folder_that_is_ours_gets_its_mark_and_its_folders(tmp_path: Path) -> None:
    media = Media(tmp_path / "media", owner=uuid4())
    media.set_mark()
    media.prepare()
    media.probe()

    media.keep("results", JOB, "image/jpeg", PICTURE)

    assert (media.root / MARK).read_text() == f"{media.owner}\n"
    assert files(media) == [MARK, RESULT]
    assert media.is_missing(f"results/3f/{uuid4()}.jpg")


def test_a_file_is_whole_or_damaged_or_gone(media: Media) -> None:
    media.keep("results", JOB, "image/jpeg", PICTURE)

    assert media.has_whole(RESULT, len(PICTURE))
    with pytest.raises(StorageError) as raised:
        media.has_whole(RESULT, len(PICTURE) + 1)
    assert "instead of" in (raised.value.private or "")
    media.remove([RESULT])
    assert not media.has_whole(RESULT, len(PICTURE))


# The disk has room for all but the end: Pillow and an unbuffered file write a part in silence.
WRITE_ON_A_FULL_DISK = """
import os, sys
from pathlib import Path
from PIL import Image
from service.errors import PhotoslotError
from service.pictures.prepare import prepare
from service.storage.media import create, disk_errors, write_all

root, how = Path(sys.argv[1]), sys.argv[2]
source = Path(sys.argv[3])
kind = "PNG" if how == "png" else "JPEG"
noise = Image.frombytes("RGBA", (400, 400), os.urandom(400 * 400 * 4))
(noise if how == "png" else noise.convert("RGB")).save(source, kind)

def write(target):
    with disk_errors():
        if how == "raw":
            with create(target) as file:
                write_all(file, bytes(2**19))
        else:
            prepare(source, target, 0, frozenset({"image/jpeg", "image/png"}))
    return target.stat().st_size

size = write(source.with_name("whole"))
with (root / "filler").open("wb") as filler:
    filler.write(bytes(os.statvfs(root).f_bavail * os.statvfs(root).f_frsize - size + 8192))
try:
    print("written", write(root / "photo"), "of", size)
except PhotoslotError as failure:
    print(failure.reason)
"""


@pytest.mark.parametrize("how", ["jpeg", "png", "raw"])
def test_what_a_full_disk_cuts_short_is_not_taken_for_whole(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, how: str
) -> None:
    source = tmp_path_factory.mktemp("source") / "source"

    ended = on_a_small_disk(tmp_path, WRITE_ON_A_FULL_DISK, how, str(source))

    assert (ended.stdout, ended.stderr) == ("storage_full\n", "")


def test_free_space_is_that_of_the_disk(media: Media) -> None:
    assert 0 < media.free_bytes() <= shutil.disk_usage(media.root).total


def test_a_new_file_is_new(media: Media) -> None:
    path = media.root / "temp" / "upload"
    with create(path) as file:
        file.write(b"a")
        assert path.read_bytes() == b"a", "nothing waits in a buffer"

    with pytest.raises(StorageError):
        create(path)


class Ending(BaseException):
    """How a block may end that nobody foresaw."""


@pytest.mark.parametrize("ending", [None, ValueError, KeyboardInterrupt, Ending])
def test_temporary_files_go_in_every_ending(
    media: Media, ending: type[BaseException] | None
) -> None:
    def work() -> None:
        with media.temp_files(JOB, WORKER) as temp:
            for purpose in PURPOSES:
                temp.path(purpose).write_bytes(b"x")
            assert len(files(media)) == len(PURPOSES)
            if ending:
                raise ending

    if ending:
        with pytest.raises(ending):
            work()
    else:
        work()

    assert files(media) == []


def test_the_temporary_files_of_a_shot_leave_alone_what_is_not_its_own(media: Media) -> None:
    with media.temp_files(uuid4(), WORKER) as other:
        other.path("upload").write_bytes(b"x")
        with media.temp_files(JOB, WORKER) as temp:
            temp.path("upload").write_bytes(b"x")
        with media.temp_files(JOB, WORKER):
            pass
        assert files(media) == [f"temp/{other.path('upload').name}"]


def test_a_temporary_file_that_cannot_be_removed_does_not_hide_the_error(
    media: Media, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ZeroDivisionError):
        with media.temp_files(JOB, WORKER) as temp:
            temp.path("upload").mkdir()
            temp.path("photo").write_bytes(b"x")
            raise ZeroDivisionError

    assert files(media) == []
    assert "media.remove_failed" in capsys.readouterr().out


def test_files_of_a_dead_worker_are_left_behind(media: Media) -> None:
    with media.temp_files(JOB, WORKER) as temp:
        temp.path("upload").write_bytes(b"x")

        assert left_behind(media.list_temp(), {WORKER, 1}, HOUR) == []
        assert left_behind(media.list_temp(), {1}, HOUR) == [temp.path("upload")]


def test_a_living_workers_files_are_never_stale(media: Media) -> None:
    with media.temp_files(JOB, WORKER) as temp:
        temp.path("upload").write_bytes(b"x")
        make_older(temp.path("upload"), 2 * HOUR)

        assert left_behind(media.list_temp(), {WORKER}, HOUR) == []


def test_where_nobody_knows_who_lives_age_decides(media: Media) -> None:
    with media.temp_files(JOB, WORKER) as temp:
        for purpose in PURPOSES:
            temp.path(purpose).write_bytes(b"x")
        make_older(temp.path("upload"), 2 * HOUR)

        assert left_behind(media.list_temp(), None, HOUR) == [temp.path("upload")]


def test_a_file_that_vanishes_meanwhile_is_no_concern(media: Media) -> None:
    (media.root / "temp" / "gone.part").write_bytes(b"x")
    found = media.list_temp()
    found[0].unlink()

    assert left_behind(found, set(), 0) == []
