"""Pages as browsers get them: shells without data and without words, and the files they need.

Whatever is shown comes from the JSON API; what a browser may do stands in `HEADERS`.
"""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from service.errors import NotFound, PhotoslotError
from service.http import negotiation
from service.site import Asset
from service.state import State

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob:",
    "media-src": "blob:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
}
FOR_EVER = "public, max-age=31536000, immutable"
REFUSAL = "refusal"

Handler = Callable[[Request[State]], Awaitable[Response]]


def page(name: str) -> Handler:
    """The handler that shows the page of that name."""

    async def show(request: Request[State]) -> Response:
        return _sent(request, request.state["web"].page(name), HEADERS)

    return show


async def asset(request: Request[State]) -> Response:
    """`GET /static/{version}/{path}`: a file of this very version."""
    site = request.state["web"].site
    found = site.assets.get(request.path_params["path"])
    if found is None or request.path_params["version"] != site.version:
        raise NotFound()
    headers = {"Cache-Control": FOR_EVER, "X-Content-Type-Options": "nosniff"}
    return _sent(request, found, headers)


def refusal(request: Request[State], error: PhotoslotError) -> Response | None:
    """A refusal as a page that says what to do; None for whoever is not a person in a browser."""
    if request.method not in ("GET", "HEAD") or not negotiation.wants_html(request):
        return None
    shell = request.state["web"].page(REFUSAL).data
    marked = shell.replace(b'data-reason=""', f'data-reason="{error.reason}"'.encode(), 1)
    headers = error.all_headers() | HEADERS | {"Vary": "Accept"}
    return Response(marked, error.status, headers, "text/html")


def _sent(request: Request[State], asset: Asset, headers: dict[str, str]) -> Response:
    sent = {"Cache-Control": "no-cache", "ETag": asset.etag, "Vary": "Accept-Encoding"} | headers
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=sent)
    if not negotiation.takes_gzip(request):
        return Response(asset.data, headers=sent, media_type=asset.mime)
    return Response(
        asset.gzipped, headers=sent | {"Content-Encoding": "gzip"}, media_type=asset.mime
    )
