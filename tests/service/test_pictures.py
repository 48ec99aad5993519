"""What is in the file: every picture format, turned, deep, cut, flooded, or no picture at all."""

import io
from pathlib import Path
from typing import Any

import httpx
import photos
import pytest
from camera import Camera
from conftest import MakeService
from PIL import Image, ImageChops, ImageOps, ImageStat
from rig import Sandbox, Service
from tables import ChangeSlot, Disk, Rows

MEGABYTE = 1024**2
OUTCOMES = "select status, failure_reason, finished_at is not null as finished from job_history"
DONE = {"status": "done", "failure_reason": None, "finished": True}


@pytest.mark.parametrize(
    "photo",
    [photos.jpeg(), photos.png(), photos.webp(), photos.heic()],
    ids=["jpeg", "png", "webp", "heic"],
)
def test_every_format_of_cameras_and_phones_is_taken(
    camera: Camera, sandbox: Sandbox, rows: Rows, photo: bytes
) -> None:
    answer = camera.shoot(photo)

    assert answer.status_code == 200, answer.text
    assert sandbox.calls()[0]["images"][0]["mime"] == "image/jpeg"
    assert rows(OUTCOMES) == [DONE]


@pytest.mark.parametrize("label", ["application/octet-stream", "image/png", "text/html", ""])
def test_the_bytes_decide_and_not_the_label(camera: Camera, rows: Rows, label: str) -> None:
    answer = camera.shoot(photos.jpeg(), filename="photo.gif", content_type=label)

    assert answer.status_code == 200, answer.text
    assert rows("select source_mime from job_history") == [{"source_mime": "image/jpeg"}]


@pytest.mark.parametrize(
    "file",
    [
        photos.html(),
        photos.svg(),
        photos.pdf(),
        photos.zipped(),
        photos.mp4(),
        photos.gif(),
        photos.tiff(),
        b"\xff",
    ],
    ids=["html", "svg", "pdf", "zip", "mp4", "gif", "tiff", "one byte"],
)
def test_it_refuses_what_is_no_picture_of_a_camera(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk, file: bytes
) -> None:
    answer = camera.shoot(file, filename="IMG_0001.JPG", content_type="image/jpeg")

    assert_refused(answer, 415, "unsupported_media_type")
    assert_failed_clean("unsupported_media_type", rows, disk)
    assert sandbox.calls() == []


def test_a_flood_of_pixels_is_refused_by_its_header_alone(
    camera: Camera, service: Service, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    camera.shoot(photos.cut(photos.png()))
    before = start_of_peak(service)

    answer = camera.shoot(photos.png_flood())

    assert_refused(answer, 413, "image_too_large")
    assert peak_bytes(service) - before < 5 * MEGABYTE
    assert [row["failure_reason"] for row in rows(f"{OUTCOMES} order by finished_at")] == [
        "invalid_image",
        "image_too_large",
    ]
    assert disk("temp") == []
    assert sandbox.calls() == []


def test_the_limit_of_pixels_is_exact(make_service: MakeService) -> None:
    camera = Camera(make_service(MAX_IMAGE_MEGAPIXELS="2").url)

    assert camera.shoot(photos.jpeg(2000, 1000)).status_code == 200
    assert_refused(camera.shoot(photos.jpeg(2001, 1000)), 413, "image_too_large")


@pytest.mark.parametrize(
    "photo",
    [
        photos.cut(photos.jpeg()),
        photos.cut(photos.jpeg(), 0.999),
        photos.cut(photos.jpeg()) + bytes(4096),
        photos.jpeg()[:3],
        photos.cut(photos.png()),
        photos.cut(photos.webp()),
        photos.cut(photos.heic()),
        photos.cut(photos.heic(), 0.05),
    ],
    ids=[
        "jpeg",
        "end of jpeg",
        "jpeg with zeros after it",
        "start of jpeg",
        "png",
        "webp",
        "heic",
        "start of heic",
    ],
)
def test_a_cut_picture_is_refused_before_it_takes_a_place(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk, photo: bytes
) -> None:
    answer = camera.shoot(photo)

    assert_refused(answer, 415, "invalid_image")
    assert_failed_clean("invalid_image", rows, disk)
    assert rows("select deadline_at from job_history") == [{"deadline_at": None}], "it was claimed"
    assert sandbox.calls() == []


def test_a_picture_broken_in_its_middle_is_refused_before_the_provider(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    photo = bytearray(photos.png())
    middle = len(photo) // 2
    photo[middle : middle + 64] = bytes(64)

    answer = camera.shoot(bytes(photo))

    assert_refused(answer, 415, "invalid_image")
    assert_failed_clean("invalid_image", rows, disk)
    assert sandbox.calls() == []


def test_bytes_after_the_end_of_a_jpeg_do_no_harm(camera: Camera) -> None:
    answer = camera.shoot(photos.jpeg() + b"SEFH a maker's own trailer" * 9)

    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_upright_exactly_once(
    camera: Camera, sandbox: Sandbox, orientation: int
) -> None:
    photo = photos.jpeg(800, 600, orientation=orientation)

    answer = camera.shoot(photo)

    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(photo)))
    [sent] = sandbox.calls()[0]["images"]
    assert (sent["width"], sent["height"]) == upright.size
    assert (sent["orientation"], sent["exif"]) == (1, False)
    assert is_upright(Image.open(io.BytesIO(answer.content)), upright)


@pytest.mark.parametrize(
    "photo",
    [photos.jpeg(gps=True), photos.heic(gps=True), photos.webp(orientation=photos.TURNED_LEFT)],
    ids=["jpeg", "heic", "webp"],
)
def test_nothing_but_pixels_leaves_the_service(
    camera: Camera, sandbox: Sandbox, photo: bytes
) -> None:
    assert camera.shoot(photo).status_code == 200

    [sent] = sandbox.calls()[0]["images"]
    assert (sent["exif"], sent["gps"]) == (False, False)


@pytest.mark.parametrize(
    ("width", "height", "sent_width", "sent_height"),
    [(2049, 1000, 2048, 1000), (500, 2500, 410, 2048), (2048, 2048, 2048, 2048)],
)
def test_no_side_of_a_photo_leaves_longer_than_the_slot_allows(
    camera: Camera, sandbox: Sandbox, width: int, height: int, sent_width: int, sent_height: int
) -> None:
    assert camera.shoot(photos.jpeg(width, height)).status_code == 200

    [sent] = sandbox.calls()[0]["images"]
    assert (sent["width"], sent["height"]) == (sent_width, sent_height)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_jpeg_in_other_colours_is_taken(camera: Camera, mode: str) -> None:
    answer = camera.shoot(photos.jpeg(mode=mode))

    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "photo",
    [photos.heic(ten_bit=True), photos.heic(orientation=photos.TURNED_LEFT, gps=True)],
    ids=["10 bit", "turned"],
)
def test_a_heic_goes_to_the_provider_as_an_upright_jpeg(
    camera: Camera, sandbox: Sandbox, rows: Rows, photo: bytes
) -> None:
    answer = camera.shoot(photo, filename="IMG_0001.PNG", content_type="image/png")

    assert answer.status_code == 200, answer.text
    upright = Image.open(io.BytesIO(photo))
    [sent] = sandbox.calls()[0]["images"]
    assert (sent["mime"], sent["width"], sent["height"]) == ("image/jpeg", *upright.size)
    assert (sent["orientation"], sent["exif"]) == (1, False)
    assert is_upright(Image.open(io.BytesIO(answer.content)), upright.convert("RGB"))
    assert rows("select source_mime from job_history") == [{"source_mime": "image/heic"}]


def test_the_first_picture_of_a_burst_counts(camera: Camera) -> None:
    answer = camera.shoot(heic_burst())

    assert answer.status_code == 200, answer.text
    assert is_upright(Image.open(io.BytesIO(answer.content)), photos.scene(640, 480))


@pytest.mark.slow
def test_a_heic_of_48_megapixels_is_taken(camera: Camera, sandbox: Sandbox) -> None:
    sky = Image.new("RGB", (8064, 6048), "teal")

    answer = camera.shoot(saved(sky, "HEIF", quality=30, enc_params={"preset": "ultrafast"}))

    assert answer.status_code == 200, answer.text
    [sent] = sandbox.calls()[0]["images"]
    assert (sent["mime"], sent["width"], sent["height"]) == ("image/jpeg", 2048, 1536)


def test_transparency_is_kept_for_a_provider_that_takes_png(
    camera: Camera, sandbox: Sandbox
) -> None:
    plain, written = (
        camera.shoot(photos.png(alpha=True, text=text), content_type="image/png")
        for text in ("", "A")
    )

    assert (plain.status_code, written.status_code) == (200, 200)
    assert [call["images"][0]["mime"] for call in sandbox.calls()] == ["image/png"] * 2
    # The left half is transparent: nobody may see what is written there.
    assert left_thirds_differ_by(plain.content, written.content) < 30


def test_a_file_of_exactly_the_limit_is_taken(camera: Camera, slot: ChangeSlot, rows: Rows) -> None:
    slot("slot-001", size_limit_mb=1)

    answer = camera.shoot(padded(MEGABYTE))

    assert answer.status_code == 200, answer.text
    assert rows("select source_bytes from job_history") == [{"source_bytes": MEGABYTE}]


def test_a_file_one_byte_over_the_limit_is_refused(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    slot("slot-001", size_limit_mb=1)

    answer = camera.shoot(padded(MEGABYTE + 1))

    assert_refused(answer, 413, "payload_too_large")
    assert "1 MB" in answer.json()["details"]
    assert_failed_clean("payload_too_large", rows, disk)
    assert sandbox.calls() == []


def assert_refused(answer: httpx.Response, status: int, reason: str) -> None:
    """The one shape of every refusal, with its reason and job in the headers too."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"status", "failure_reason", "details", "job_id"}
    assert body["status"] == ("timeout" if status == 504 else "error")
    assert body["failure_reason"] == answer.headers["x-failure-reason"] == reason
    assert body["job_id"] == answer.headers.get("x-job-id")


def assert_failed_clean(reason: str, rows: Rows, disk: Disk) -> None:
    """Exactly one row, ended for this reason, and not a file of it."""
    assert rows(OUTCOMES) == [{"status": "failed", "failure_reason": reason, "finished": True}]
    assert disk("temp", "results", "previews") == []
    assert rows("select kind from media_object") == []


def start_of_peak(service: Service) -> int:
    """Forget the peak of the service's memory; what it has now."""
    Path(f"/proc/{service.pid}/clear_refs").write_text("5")
    return service.memory_bytes


def peak_bytes(service: Service) -> int:
    """The most memory the service had since `start_of_peak`."""
    lines = Path(f"/proc/{service.pid}/status").read_text().splitlines()
    [peak] = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak) * 1024


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


def left_thirds_differ_by(one: bytes, other: bytes) -> int:
    """The largest difference of two pictures in grey levels, in their left thirds."""
    thirds = []
    for data in (one, other):
        picture = ImageOps.grayscale(Image.open(io.BytesIO(data)))
        thirds.append(picture.crop((0, 0, picture.width // 3, picture.height)))
    return int(ImageChops.difference(*thirds).getextrema()[1])


def heic_burst() -> bytes:
    """Three HEIC pictures in one file, as a burst is kept; only the first is the right way up."""
    first = photos.scene(640, 480)
    others = [first.rotate(180), ImageOps.mirror(first)]
    return saved(first, "HEIF", save_all=True, append_images=others, primary_index=0)


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def padded(size: int) -> bytes:
    """A JPEG of exactly `size` bytes, filled up after its end."""
    photo = photos.jpeg()
    return photo + bytes(size - len(photo))
