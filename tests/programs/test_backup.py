"""bin/backup and bin/restore: a service that moves into an empty one, and what is refused."""

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
from rig import Service
from tables import Execute, new_database


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
