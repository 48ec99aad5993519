"""bin/backup and bin/restore: a service that moves into an empty one, and what is refused."""

import io
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import archive
import backup
import httpx
import photos
import psycopg
import pytest
import restore
from admin import Admin, signed_in
from camera import Camera
from conftest import MakeService
from migrate import migrate
from rig import ROOT, Service
from tables import Execute, new_database

from service.errors import StorageError
from service.storage.media import MARK

# What the first start of a service notes.
STARTED = "update house set folder_marked_at = now()"
# The id of an installation that is not ours.
OTHER = "5b708edd-42d4-44a0-8f8c-1257b43714f7"


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


@pytest.fixture
def target(postgres_url: str) -> Iterator[str]:
    """An empty database for what is restored."""
    with new_database(postgres_url) as url:
        yield url


def tables_in(url: str) -> int:
    with psycopg.connect(url) as connection:
        query = "select count(*) from pg_class where relnamespace = 'public'::regnamespace"
        found = connection.execute(query).fetchone()
        assert found is not None
        return int(found[0])


def shot(camera: Camera) -> tuple[str, bytes]:
    answer = camera.shoot()
    assert answer.status_code == 200
    return answer.headers["x-job-id"], answer.content


def shown(service: Service, job_id: str) -> httpx.Response:
    return httpx.get(f"{service.url}/public/results/{job_id}", trust_env=False)


def restored_service(make_service: MakeService, url: str, media: Path) -> Service:
    return make_service(DATABASE_URL=url, MEDIA_ROOT=str(media))


def test_a_restored_service_serves_its_old_pictures_and_templates(
    service: Service,
    camera: Camera,
    admin: Admin,
    make_service: MakeService,
    execute: Execute,
    target: str,
    tmp_path: Path,
) -> None:
    job_id, picture = shot(camera)
    removed_id, _ = shot(camera)
    expired_id, _ = shot(camera)
    execute("update media_object set expires_at = now() where job_id = %s", expired_id)
    added = admin.post("/api/template-media", files={"file": ("style.png", photos.png())})
    template = f"/api/template-media/{added.json()['id']}"
    template_bytes = admin.get(template).content
    (lost,) = service.media_root.glob(f"results/*/{removed_id}.*")
    lost.unlink()
    (service.media_root / "results" / "stray.jpg").write_bytes(b"no row names this")

    path, said = backup.back_up(service_url(service), service.media_root, tmp_path)
    assert said.startswith("2 files (1 named by a row are missing)")
    assert sorted(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o077 == 0
    late_id, _ = shot(camera)

    media = tmp_path / "restored"
    assert restore.restore(target, media, path).startswith("2 files; 2 that were not in the backup")
    again = restored_service(make_service, target, media)
    assert shown(again, job_id).content == picture
    headers = {"authorization": f"Bearer {admin.token}"}
    served = httpx.get(f"{again.url}{template}", headers=headers, trust_env=False)
    assert served.content == template_bytes
    assert [shown(again, lost_id).status_code for lost_id in (removed_id, expired_id)] == [410, 410]
    assert shown(again, late_id).status_code == 404
    assert Camera(again.url).shoot().status_code == 200


def service_url(service: Service) -> str:
    return service.environment["DATABASE_URL"]


def test_a_backup_that_cannot_be_read_back_is_not_kept(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive.Writer, "finish", lambda _: None)
    with pytest.raises(archive.Broken, match="has no SHA256SUMS"):
        backup.back_up(service_url(service), service.media_root, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("found, words", [(None, "is its disk mounted"), (OTHER, "another")])
def test_a_folder_that_is_not_there_is_no_backup(
    service: Service,
    camera: Camera,
    execute: Execute,
    tmp_path: Path,
    found: str | None,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shot(camera)
    execute(STARTED)
    away = tmp_path / "media"
    away.mkdir()
    if found:
        (away / MARK).write_text(found)
    backups = tmp_path / "backups"
    backups.mkdir()
    monkeypatch.setenv("DATABASE_URL", service_url(service))
    monkeypatch.setenv("MEDIA_ROOT", str(away))

    assert backup.main([str(backups)]) == 1

    assert words in capsys.readouterr().err
    assert list(backups.iterdir()) == []


def test_a_disk_that_goes_away_meanwhile_is_no_backup(
    service: Service,
    camera: Camera,
    execute: Execute,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shot(camera)
    execute(STARTED)
    away, check = service.media_root.with_name("elsewhere"), archive.check

    def go_away(path: Path) -> dict[str, str]:
        service.media_root.rename(away)
        return check(path)

    monkeypatch.setattr(archive, "check", go_away)
    try:
        with pytest.raises(StorageError):
            backup.back_up(service_url(service), service.media_root, tmp_path)
    finally:
        away.rename(service.media_root)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def made(service: Service, camera: Camera, tmp_path: Path) -> Path:
    """A backup of a service with one picture."""
    shot(camera)
    return backup.back_up(service_url(service), service.media_root, tmp_path)[0]


def bent(path: Path) -> None:
    """One bit of the picture turned over."""
    with tarfile.open(path) as tar:
        (member,) = [one for one in tar if one.name.startswith(archive.MEDIA)]
        place = member.offset_data + member.size // 2
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))


def cut(path: Path) -> None:
    """Ended by a full disk."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def without_sums(path: Path) -> None:
    """A tar file, but not one of ours."""
    rewritten(path, lambda name: None if name == archive.SUMS else name)


def climbing(path: Path) -> None:
    """A name that leads out of the folder."""
    rewritten(path, lambda name: name.replace("results/", "results/../../"))


def commanding(path: Path) -> None:
    """A list of sums that names what a terminal would obey."""
    old = path.with_suffix(".old")
    path.rename(old)
    with tarfile.open(old) as source, tarfile.open(path, "w") as copy:
        for member in source:
            content = source.extractfile(member)
            assert content is not None
            data = content.read()
            if member.name == archive.SUMS:
                data += b"0" * 64 + b"  media/results/\x1b[2J\xc2\x9b31m\n"
            member.size = len(data)
            copy.addfile(member, io.BytesIO(data))
    old.unlink()


def rewritten(path: Path, rename: Callable[[str], str | None]) -> None:
    old = path.with_suffix(".old")
    path.rename(old)
    with tarfile.open(old) as source, tarfile.open(path, "w") as copy:
        for member in source:
            content = source.extractfile(member)
            name = rename(member.name)
            if name:
                member.name = name
                copy.addfile(member, content)
    old.unlink()


@pytest.mark.parametrize(
    "damage, words",
    [
        (bent, "is not as SHA256SUMS has it"),
        (cut, "not a whole tar file"),
        (without_sums, "has no SHA256SUMS"),
        (climbing, "does not belong into a backup"),
        (commanding, "media/results/\\u001b[2J\\u009b31m is not as SHA256SUMS has it"),
    ],
)
def test_a_bad_archive_is_refused_and_nothing_changes(
    made: Path,
    target: str,
    tmp_path: Path,
    damage: Callable[[Path], None],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(made)
    media = tmp_path / "media"
    monkeypatch.setenv("DATABASE_URL", target)
    monkeypatch.setenv("MEDIA_ROOT", str(media))
    assert restore.main([str(made)]) == 1
    assert words in capsys.readouterr().err
    assert tables_in(target) == 0
    assert not media.exists()


def test_a_service_that_lives_is_never_overwritten(
    service: Service, made: Path, target: str, tmp_path: Path
) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "somebody's.jpg").write_bytes(b"a picture")
    with pytest.raises(restore.Refused, match="there are files in"):
        restore.restore(target, full, made)
    with pytest.raises(restore.Refused, match="there are tables in the database"):
        restore.restore(service_url(service), tmp_path / "empty", made)
    assert [path.name for path in full.iterdir()] == ["somebody's.jpg"]
    assert tables_in(target) == 0
    assert not (tmp_path / "empty").exists()


def test_a_restore_that_fails_in_the_database_leaves_the_folder_empty(
    made: Path, target: str, tmp_path: Path
) -> None:
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute("create type slot as enum ('in', 'the', 'way')")
    media = tmp_path / "media"
    with pytest.raises(restore.pgtools.ToolFailed, match="slot"):
        restore.restore(target, media, made)
    assert not [path for path in media.rglob("*") if path.is_file()]
    assert tables_in(target) == 0


# A process of its own, because it is killed as it makes the nth call of a function.
RESTORE_AND_DIE = """
import importlib, os, signal, sys
from pathlib import Path
sys.path.insert(0, "bin")
import restore

url, media, archive, module, name, left = sys.argv[1:]
where, left = importlib.import_module(module), int(left)
real = getattr(where, name)

def die_in_time(*args, **options):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **options)

setattr(where, name, die_in_time)
print(restore.restore(url, Path(media), Path(archive)))
"""


def restore_and_die(target: str, media: Path, path: Path, point: str) -> None:
    module, name, count = point.split()
    arguments = [target, str(media), str(path), module, name, count]
    ended = subprocess.run(
        [sys.executable, "-c", RESTORE_AND_DIE, *arguments], cwd=ROOT, timeout=60, check=False
    )
    assert ended.returncode == -signal.SIGKILL, f"it never came to {point}"


@pytest.mark.parametrize(
    "point",
    [
        "archive _copy 1",
        "archive _copy 2",
        "archive _copy 3",
        "os sync 1",
        "restore _fill 1",
        "restore _settle 1",
        "os unlink 3",
        "os unlink 4",
    ],
)
def test_a_restore_that_was_killed_is_ended_by_the_next(
    service: Service,
    camera: Camera,
    make_service: MakeService,
    target: str,
    tmp_path: Path,
    point: str,
) -> None:
    job_id, picture = shot(camera)
    lost_id, _ = shot(camera)
    (lost,) = service.media_root.glob(f"results/*/{lost_id}.*")
    lost.unlink()
    other_id, other = shot(camera)
    path, _ = backup.back_up(service_url(service), service.media_root, tmp_path)
    media = tmp_path / "restored"

    restore_and_die(target, media, path, point)
    cut_off = make_service(ready=False, DATABASE_URL=target, MEDIA_ROOT=str(media))
    assert cut_off.wait() == 1
    assert "photoslot cannot start" in cut_off.output
    said = restore.restore(target, media, path)

    assert said.startswith("2 files; ")
    assert sorted(one.name for one in media.iterdir()) == ["results"]
    again = restored_service(make_service, target, media)
    assert shown(again, job_id).content == picture
    assert shown(again, other_id).content == other
    assert shown(again, lost_id).status_code == 410
    with psycopg.connect(target) as connection:
        query = "select path from media_object where kind = 'result' and cleaned_at is null"
        promised = {row[0] for row in connection.execute(query)}
    assert promised == {
        str(file.relative_to(media)) for file in (media / "results").rglob("*") if file.is_file()
    }


def test_what_was_begun_with_one_archive_is_not_ended_with_another(
    service: Service, camera: Camera, target: str, tmp_path: Path
) -> None:
    shot(camera)
    first, _ = backup.back_up(service_url(service), service.media_root, tmp_path)
    first = first.rename(tmp_path / "first.tar")
    shot(camera)
    second, _ = backup.back_up(service_url(service), service.media_root, tmp_path)
    media = tmp_path / "restored"

    restore_and_die(target, media, first, "restore _settle 1")
    with pytest.raises(restore.Refused, match="of another archive was cut off"):
        restore.restore(target, media, second)

    assert restore.restore(target, media, first).startswith("1 files; 0")


def test_what_came_into_the_database_meanwhile_is_not_taken_for_the_backup(
    made: Path, target: str, tmp_path: Path
) -> None:
    media = tmp_path / "restored"
    restore_and_die(target, media, made, "restore _fill 1")
    migrate(target)

    with pytest.raises(restore.Refused, match="not those of this archive"):
        restore.restore(target, media, made)


@pytest.mark.parametrize(
    "program, environment, code, words",
    [
        ("backup", {}, 2, "DATABASE_URL is required"),
        ("backup", {"DATABASE_URL": "postgresql://u:hidden@127.0.0.1:1/x"}, 1, "cannot be reached"),
        ("restore", {}, 2, "DATABASE_URL is required"),
        ("restore", {"DATABASE_URL": "postgresql://u:hidden@127.0.0.1:1/x"}, 1, "No such file"),
    ],
)
def test_the_commands_say_what_is_wrong(
    program: str,
    environment: dict[str, str],
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    main = {"backup": backup.main, "restore": restore.main}[program]
    argument = tmp_path if program == "backup" else tmp_path / "nothing.tar"
    assert main([str(argument)]) == code
    said = capsys.readouterr().err
    assert words in said and "hidden" not in said
    assert list(tmp_path.iterdir()) == []
