"""What a proxy in front has to do besides passing shots on."""

import ssl
from collections.abc import Iterator

import httpx
from camera import Camera
from clients.catalog import DIRECT
from clients.proxies import Way
from rig import Service

FORGED = "203.0.113.9"
# Those of machines, with a spelling that a proxy has to see through.
CLOSED = ("/metrics", "/healthz", "/livez", "/%6detrics")


def site_faults(way: Way, service: Service) -> Iterator[str]:
    """What is wrong with a proxy, in words: the addresses of machines are open, pages come without
    TLS or not with it, a client's own word for its address is believed."""
    if way.name == DIRECT:
        return
    context = ssl.create_default_context(cafile=str(way.certificate))
    with httpx.Client(verify=context, trust_env=False, timeout=30) as client:
        for path in CLOSED:
            status = client.get(way.tls_url + path).status_code
            if status != 404:
                yield f"GET {path} is {status}"
        if (status := client.get(f"{way.tls_url}/login").status_code) != 200:
            yield f"a page with TLS is {status}"
        if way.url != way.tls_url and (status := client.get(way.url).status_code) != 308:
            yield f"a page without TLS is {status}"
        for url in {way.url, way.tls_url}:
            body, mime = Camera(url).multipart()
            headers = {"content-type": mime, "x-forwarded-for": FORGED}
            service.forget_log()
            client.post(f"{url}/api/ingest/slot-001", content=body, headers=headers)
            address = service.wait_log("shot")["address"]
            if address != "127.0.0.1":
                yield f"a client's X-Forwarded-For is believed: {address}"
