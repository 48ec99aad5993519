"""Public links: where a job's picture is for everybody and for its guest alone, where a share's
gallery is.

A share's link carries its id and expiry, signed with the service's keys, so that a stranger's guess
never reaches the database; what an admin revoked is known there.
"""

from datetime import UTC, datetime
from uuid import UUID

from service.config import Config
from service.crypto import is_seal, read_link, seal, sign_link
from service.queries.shares import Share

DELETE_SALT = "photoslot.delete"
SHARE_SALT = "photoslot.share"


def result_url(public_base_url: str, job_id: UUID) -> str:
    """The public link of a job's picture."""
    return f"{public_base_url}/public/results/{job_id}"


def page_url(config: Config, job_id: UUID) -> str:
    """The page of a job's picture, for whoever may see it."""
    return f"{config.public_base_url}/r/{job_id}"


def owner_url(config: Config, job_id: UUID) -> str:
    """The same page for the guest in the picture, with the key that deletes it. The key is a
    fragment: browsers keep it to themselves, so it never stands in a log."""
    key = seal(config.jwt_signing_keys, DELETE_SALT, str(job_id))
    return f"{page_url(config, job_id)}#{key}"


def is_delete_key(config: Config, job_id: UUID, given: str) -> bool:
    """Whether this key deletes the picture of this job."""
    return is_seal(config.jwt_signing_keys, DELETE_SALT, str(job_id), given)


def share_urls(config: Config, share: Share) -> dict[str, str]:
    """Where a gallery is: its JSON, its page, the same as a slide show. The pages have the token
    as a fragment, which no server logs."""
    base = config.public_base_url
    content = [str(share.id), int(share.expires_at.timestamp())]
    token = sign_link(config.jwt_signing_keys, SHARE_SALT, content)
    place = f"/{share.slot_id}" if share.slot_id else ""
    return {
        "url": f"{base}/public/slots{place}?share={token}",
        "page_url": f"{base}/g{place}#{token}",
        "show_url": f"{base}/show{place}#{token}",
    }


def share_id_of(config: Config, token: str) -> UUID | None:
    """The share of a link that we signed and that has not expired."""
    try:
        share_id, expires = read_link(config.jwt_signing_keys, SHARE_SALT, token)
        return UUID(share_id) if expires > datetime.now(UTC).timestamp() else None
    except (ValueError, TypeError, AttributeError):
        return None
