"""A shot on its whole way: posted by a camera, edited, answered, stored, counted."""

import hashlib
import io
import re
from datetime import timedelta
from uuid import UUID

import httpx
import photos
import pytest
from camera import PASSWORD, Camera, breeze_fields
from conftest import MakeService
from PIL import Image, ImageChops, ImageOps, ImageStat
from rig import SIGNING_KEY, Sandbox, Service, spelt
from tables import ChangeSlot, Disk, Rows

MODEL = "gemini-nano-banana-2.1"
PROVIDER_KEY = "a-key-nobody-may-read"


def test_a_photo_comes_back_edited(camera: Camera) -> None:
    photo = photos.jpeg(1200, 900)

    answer = camera.shoot(photo)

    assert answer.status_code == 200, answer.text
    before, after = opened(photo), opened(answer.content)
    assert after.format == "JPEG"
    assert is_upright(after, before)
    assert difference(after, before) > 5, "the provider's edit is not to be seen"


def test_the_answer_says_what_it_carries(camera: Camera, service: Service) -> None:
    answer = camera.shoot()

    told = answer.headers
    job_id = UUID(told["x-job-id"])
    assert told["content-type"] == "image/jpeg"
    assert told["content-length"] == str(len(answer.content))
    assert told["cache-control"] == "no-store"
    assert told["link"] == f'<{service.url}/public/results/{job_id}>; rel="canonical"'
    assert told["x-provider"] == "gemini"
    timing = r"upload;dur=\d+, queue;dur=\d+, provider;dur=\d+, store;dur=\d+"
    assert re.fullmatch(timing, told["server-timing"])
    assert not {"x-failure-reason", "x-result-stored", "idempotent-replayed"} & set(told)


def test_server_timing_tells_the_time_at_the_provider(camera: Camera, sandbox: Sandbox) -> None:
    sandbox.dial(latency_s=0.4)

    timing = camera.shoot().headers["server-timing"]

    stages = {name: int(ms) for name, ms in re.findall(r"(\w+);dur=(\d+)", timing)}
    assert stages["provider"] >= 400
    assert stages["upload"] + stages["queue"] + stages["store"] < stages["provider"]


@pytest.mark.parametrize(
    ("outcome", "mime"),
    [
        ("png", "image/png"),
        ("webp", "image/webp"),
        ("wrong_mime", "image/jpeg"),
    ],
)
def test_the_bytes_decide_the_type_of_the_answer(
    camera: Camera, sandbox: Sandbox, rows: Rows, outcome: str, mime: str
) -> None:
    sandbox.dial([outcome])

    answer = camera.shoot()

    assert answer.headers["content-type"] == mime
    assert Image.MIME[opened(answer.content).format or ""] == mime
    assert rows("select mime from media_object") == [{"mime": mime}]


def test_one_done_row_tells_the_whole_shot(camera: Camera, rows: Rows) -> None:
    photo = photos.jpeg()
    fields = breeze_fields(photo)

    answer = camera.shoot(photo, "slot-003", fields=fields, filename=r"C:\Photos\IMG_0007.JPG")

    [row] = rows("select * from job_history")
    expected = {
        "id": UUID(answer.headers["x-job-id"]),
        "slot_id": "slot-003",
        "slot_version": 1,
        "source": "device",
        "status": "done",
        "failure_reason": None,
        "provider": "gemini",
        "operation": "image_edit",
        "client_address": "127.0.0.1",
        "device": {**fields, "filename": "IMG_0007.JPG"},
        "source_sha256": hashlib.sha256(photo).digest(),
        "source_mime": "image/jpeg",
        "source_bytes": len(photo),
        "source_width": 640,
        "source_height": 480,
        "stored": True,
        "delivered": True,
    }
    assert {name: row[name] for name in expected} == expected
    assert row["deadline_at"] - row["created_at"] == timedelta(seconds=48)
    assert row["created_at"] < row["finished_at"] < row["deadline_at"]
    assert row["provider_ms"] > 0
    stages = [row[f"{name}_ms"] for name in ("upload", "queue", "provider", "store")]
    assert row["total_ms"] == pytest.approx(sum(stages), abs=4)


def test_the_row_keeps_every_call_of_the_provider(
    camera: Camera, rows: Rows, sandbox: Sandbox
) -> None:
    camera.shoot()

    [row] = rows("select attempts, provider_ms from job_history")
    [attempt] = row["attempts"]
    [call] = sandbox.calls()
    assert attempt["provider"] == "gemini"
    assert attempt["model"] == call["model"] == MODEL
    assert attempt["outcome"] == "ok"
    assert attempt["maybe_billed"] is False
    assert 0 < attempt["ms"] <= row["provider_ms"] + 1
    assert attempt["usage"]["totalTokenCount"] > 1000


def test_only_the_result_stays_on_the_disk(
    camera: Camera, service: Service, rows: Rows, disk: Disk
) -> None:
    answer = camera.shoot()

    job_id = UUID(answer.headers["x-job-id"])
    path = f"results/{str(job_id)[:2]}/{job_id}.jpg"
    assert disk("temp", "results", "previews", "templates") == [path]
    assert (service.media_root / path).read_bytes() == answer.content
    width, height = opened(answer.content).size
    [row] = rows("select * from media_object")
    expected = {
        "kind": "result",
        "job_id": job_id,
        "path": path,
        "mime": "image/jpeg",
        "bytes": len(answer.content),
        "sha256": hashlib.sha256(answer.content).digest(),
        "width": width,
        "height": height,
        "cleaned_at": None,
    }
    assert {name: row[name] for name in expected} == expected
    kept_for = row["expires_at"] - row["created_at"]
    assert abs(kept_for - timedelta(hours=72)) < timedelta(seconds=2)


def test_the_provider_gets_the_photo_prepared_and_the_prompt(
    camera: Camera, sandbox: Sandbox, slot: ChangeSlot
) -> None:
    slot("slot-001", settings={"prompt": 'Make it «снег» & 5 > 3 "now"\n'})
    photo = photos.jpeg(3000, 2000, orientation=photos.TURNED_LEFT, gps=True)

    assert camera.shoot(photo).status_code == 200

    [call] = sandbox.calls()
    assert call["prompt"] == 'Make it «снег» & 5 > 3 "now"\n'
    assert call["parts"] == ["image", "text", "text"]
    [sent] = call["images"]
    assert (sent["mime"], sent["width"], sent["height"]) == ("image/jpeg", 1365, 2048)
    assert (sent["orientation"], sent["exif"], sent["gps"]) == (1, False, False)


def test_a_photo_is_never_scaled_up(camera: Camera, sandbox: Sandbox) -> None:
    assert camera.shoot(photos.jpeg(640, 480)).status_code == 200

    [sent] = sandbox.calls()[0]["images"]
    assert (sent["width"], sent["height"]) == (640, 480)


def test_a_slot_with_side_0_sends_the_very_bytes(
    camera: Camera, sandbox: Sandbox, slot: ChangeSlot
) -> None:
    slot("slot-001", max_side_px=0)
    photo = photos.jpeg(3000, 2000, orientation=photos.TURNED_LEFT, gps=True)

    assert camera.shoot(photo).status_code == 200

    [sent] = sandbox.calls()[0]["images"]
    assert sent["sha256"] == hashlib.sha256(photo).hexdigest()


def test_the_short_address_serves_too(camera: Camera, rows: Rows) -> None:
    answer = camera.shoot(slot="slot-015", path="/ingest/{slot}")

    assert answer.status_code == 200, answer.text
    assert rows("select slot_id, status from job_history") == [
        {"slot_id": "slot-015", "status": "done"}
    ]


def test_a_device_that_wants_json_gets_a_description(
    camera: Camera, service: Service, rows: Rows
) -> None:
    answer = camera.shoot(headers={"accept": "application/json"})

    job_id = answer.headers["x-job-id"]
    link = f"{service.url}/public/results/{job_id}"
    picture = httpx.get(link, trust_env=False)
    [row] = rows("select width, height, expires_at from media_object")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "job_id": job_id,
        "status": "done",
        "result_url": link,
        "page_url": answer.headers["x-page-url"],
        "expires_at": spelt(row["expires_at"]),
        "mime": "image/jpeg",
        "bytes": len(picture.content),
        "width": row["width"],
        "height": row["height"],
    }


@pytest.mark.parametrize("accept", ["*/*", "image/*", "image/jpeg, application/json;q=0.1"])
def test_a_device_that_takes_pictures_gets_the_picture(camera: Camera, accept: str) -> None:
    answer = camera.shoot(headers={"accept": accept})

    assert answer.headers["content-type"] == "image/jpeg"


def test_the_password_may_come_in_a_header(camera: Camera, rows: Rows) -> None:
    answer = camera.shoot(password=None, headers={"X-Ingest-Password": PASSWORD})

    assert answer.status_code == 200, answer.text
    assert rows("select status from job_history") == [{"status": "done"}]


@pytest.mark.parametrize("field", ["fileToUpload", "file", "image", "media"])
def test_the_file_may_have_any_of_its_names(camera: Camera, sandbox: Sandbox, field: str) -> None:
    assert camera.shoot(field=field).status_code == 200
    assert len(sandbox.calls()) == 1


def test_a_heic_from_a_phone_comes_back_upright(camera: Camera, sandbox: Sandbox) -> None:
    photo = photos.heic(1600, 1200, orientation=photos.TURNED_LEFT, gps=True)

    answer = camera.shoot(photo, filename="IMG_0003.HEIC", content_type="image/heic")

    assert answer.status_code == 200, answer.text
    after = opened(answer.content)
    assert after.width < after.height
    assert is_upright(after, opened(photo))
    [sent] = sandbox.calls()[0]["images"]
    assert (sent["mime"], sent["width"], sent["height"]) == ("image/jpeg", 1200, 1600)
    assert (sent["orientation"], sent["exif"], sent["gps"]) == (1, False, False)


def test_a_jpeg_of_24_megapixels_is_taken(camera: Camera, sandbox: Sandbox, rows: Rows) -> None:
    answer = camera.shoot(photos.big_jpeg(24))

    assert answer.status_code == 200, answer.text
    [sent] = sandbox.calls()[0]["images"]
    assert (sent["width"], sent["height"]) == (2048, 1365)
    assert rows("select source_width, source_height from job_history") == [
        {"source_width": 6000, "source_height": 4000}
    ]


def test_a_png_with_alpha_is_taken(camera: Camera, sandbox: Sandbox) -> None:
    photo = photos.png(alpha=True)

    answer = camera.shoot(photo, filename="cutout.png", content_type="image/png")

    assert answer.status_code == 200, answer.text
    assert sandbox.calls()[0]["images"][0]["mime"] == "image/png"


def test_every_shot_writes_one_line_with_its_stages(camera: Camera, service: Service) -> None:
    photo = photos.jpeg()
    answer = camera.shoot(photo, "slot-002")
    request_id = answer.headers["x-request-id"]

    line = service.wait_log("shot", request_id=request_id)

    expected = {
        "level": "info",
        "method": "POST",
        "path": "/api/ingest/slot-002",
        "status": 200,
        "address": "127.0.0.1",
        "slot": "slot-002",
        "job_id": answer.headers["x-job-id"],
        "provider": "gemini",
        "bytes": len(photo),
        "attempts": 1,
        "delivered": True,
    }
    assert expected.items() <= line.items()
    stages = [line[f"{name}_ms"] for name in ("upload", "queue", "provider", "store")]
    assert all(isinstance(ms, int) for ms in stages)
    assert line["ms"] >= line["provider_ms"] > 0
    assert [one["event"] for one in service.log if one.get("request_id") == request_id] == ["shot"]


def test_a_refused_shot_writes_its_line_with_the_reason(
    camera: Camera, service: Service, sandbox: Sandbox
) -> None:
    sandbox.dial(["400"])

    request_id = camera.shoot().headers["x-request-id"]

    line = service.wait_log("shot", request_id=request_id)
    assert (line["status"], line["reason"], line["level"]) == (502, "provider_error", "error")
    assert line["store_ms"] is None


def test_no_secret_is_ever_told(make_service: MakeService) -> None:
    service = make_service(GEMINI_API_KEY=PROVIDER_KEY)
    camera = Camera(service.url)
    wrong = "guessed by a stranger"

    refused = [
        camera.shoot(),
        camera.shoot(password=wrong),
        camera.shoot(password=None, headers={"X-Ingest-Password": wrong}),
    ]

    assert [answer.status_code for answer in refused] == [503, 401, 401]
    service.wait_log("shot", reason="provider_auth")
    told = service.output + "".join(answer.text + str(answer.headers) for answer in refused)
    told += httpx.get(f"{service.url}/metrics", trust_env=False).text
    for secret in (PROVIDER_KEY, PASSWORD, wrong, SIGNING_KEY, "$argon2"):
        assert secret not in told


def test_the_row_never_holds_the_password(camera: Camera, rows: Rows) -> None:
    camera.shoot()
    camera.shoot(photos.html())

    stored = rows("select to_jsonb(job_history)::text as row from job_history")
    assert len(stored) == 2
    assert not any(PASSWORD in line["row"] for line in stored)


def test_the_counters_move_with_a_shot(camera: Camera, service: Service) -> None:
    before = metrics(service)

    assert camera.shoot(slot="slot-004").status_code == 200

    moved = {name: value - before.get(name, 0) for name, value in metrics(service).items()}
    expected = {
        'photoslot_shots_total{outcome="done",provider="gemini",slot="slot-004"}': 1,
        f'photoslot_attempts_total{{model="{MODEL}",outcome="ok",provider="gemini"}}': 1,
        'photoslot_shot_seconds_count{slot="slot-004",status="done"}': 1,
        'photoslot_provider_seconds_count{provider="gemini"}': 1,
        "photoslot_added_seconds_count": 1,
        "photoslot_in_flight": 0,
    }
    assert {name: moved.get(name) for name in expected} == expected


def test_the_counters_move_with_a_refusal(
    camera: Camera, service: Service, sandbox: Sandbox
) -> None:
    sandbox.dial(["content_blocked"])
    before = metrics(service)

    assert camera.shoot(slot="slot-004").status_code == 422

    moved = {name: value - before.get(name, 0) for name, value in metrics(service).items()}
    shots = 'photoslot_shots_total{outcome="content_blocked",provider="gemini",slot="slot-004"}'
    assert moved[shots] == 1
    assert moved['photoslot_refusals_total{reason="content_blocked"}'] == 1


def opened(data: bytes) -> Image.Image:
    """A decoded picture, turned as its EXIF wants it."""
    picture = Image.open(io.BytesIO(data))
    kind = picture.format
    upright = ImageOps.exif_transpose(picture)
    upright.format = kind
    return upright


def is_upright(after: Image.Image, before: Image.Image) -> bool:
    """Whether `after` is most like `before` when neither is turned nor mirrored."""
    turns = [None, *Image.Transpose]
    turned = [before if turn is None else before.transpose(turn) for turn in turns]
    differences = [difference(after, picture) for picture in turned]
    return min(differences) == differences[0]


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of two pictures in grey levels, both brought to the same small size."""
    small = [ImageOps.autocontrast(ImageOps.grayscale(p).resize((48, 48))) for p in (one, other)]
    return ImageStat.Stat(ImageChops.difference(*small)).mean[0]


def metrics(service: Service) -> dict[str, float]:
    """Every sample of /metrics by its name with its labels."""
    lines = httpx.get(f"{service.url}/metrics", trust_env=False).text.splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in samples}
