"""The document against the running service: whatever fits it, or nearly does, gets a documented
answer.

Requests are made from the document by schemathesis, half of them broken on purpose. They are few
and always the same, so that this stays a test and not a hunt; a hunter raises EXAMPLES.
"""

from collections.abc import Callable, Iterator, Mapping

import pytest
from admin import Admin, secrets_dir, signed_in
from camera import Camera
from documents import operations
from photos import jpeg
from rig import Service

from service.storage.accounts import KEYS_FILE


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    """An admin; provider keys that a test sets are gone after it."""
    with signed_in(service) as admin:
        yield admin
    (secrets_dir(service) / KEYS_FILE).unlink(missing_ok=True)


@pytest.fixture
def known(admin: Admin, camera: Camera) -> Mapping[str, str]:
    """Ids that exist, by the name of their parameter."""
    job = camera.shoot(jpeg())
    template = admin.post("/api/template-media", files={"file": jpeg(64, 48)}).json()
    share = admin.post("/api/shares", json={}).json()
    return {
        "slot_id": "slot-001",
        "job_id": job.headers["x-job-id"],
        "template_id": template["id"],
        "share_id": share["id"],
        "version": "1",
        "share": share["url"].partition("share=")[2],
    }


@pytest.mark.parametrize("name", [found["operationId"] for found in operations().values()])
def test_it_answers_as_documented(
    name: str, service: Service, admin: Admin, known: Mapping[str, str], execute: Callable[..., int]
) -> None:
    from requests_from_document import check_operation

    if name == "runPreflight":
        execute("update slot set is_active = id = 'slot-001'")
    check_operation(name, admin, known)
