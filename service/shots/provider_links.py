"""Provider links: signed addresses under which a provider that takes no uploads fetches what a shot
sends it.

A link is signed and names the file, its type and the second it ends: any process can serve it, and
nobody has to remember it. It ends with the shot's window, and a photo ends with its shot.
"""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from service import logs
from service.crypto import read_link, sign_link
from service.errors import NotFound, ResultExpired
from service.http.file_response import whole_file
from service.pictures.prepare import Photo
from service.state import State
from service.storage.media import EXTENSIONS

SALT = "photoslot.handout"
GUARDS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}


def link(state: State, photo: Photo, ends_at: datetime) -> str:
    """The address of a picture under MEDIA_ROOT, for whoever is given it until `ends_at`."""
    config = state["config"]
    path = str(photo.path.relative_to(state["media"].root))
    content = [path, photo.mime, int(ends_at.timestamp())]
    token = sign_link(config.jwt_signing_keys, SALT, content)
    return f"{config.public_base_url}/public/media/{token}/{_name(photo.mime)}"


async def show(request: Request[State]) -> Response:
    """`GET /public/media/{token}/{name}`: the picture a link was made for, whole, without cookies
    or redirects."""
    state = request.state
    # For as long as it holds, the link opens a guest's photo: the log is no place for it.
    logs.note(request, path="/public/media/")
    content = read_link(state["config"].jwt_signing_keys, SALT, request.path_params["token"])
    if content is None or request.path_params["name"] != _name(content[1]):
        raise NotFound()
    path, mime, ends = content
    if ends <= datetime.now(UTC).timestamp():
        raise ResultExpired()
    return whole_file(request, state["media"].path(path), mime, GUARDS)


def _name(mime: str) -> str:
    """Those who fetch may go by the end of the name."""
    return f"picture.{EXTENSIONS[mime]}"
