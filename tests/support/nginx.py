"""Debian's nginx with the shipped site: only its addresses, files and one patience differ."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rig import ROOT, Program, free_port

PROGRAM = "/usr/sbin/nginx"
SITE = ROOT / "deploy" / "nginx.conf"
HEAD_SECONDS = 2
# The rest of 127.0.0.0/8 is far.
NEAR = "127.0.0.0/30"

MAIN = """
daemon off;
{user}
pid {prefix}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
    client_body_temp_path {prefix}/body;
    proxy_temp_path {prefix}/proxy;
    fastcgi_temp_path {prefix}/fastcgi;
    uwsgi_temp_path {prefix}/uwsgi;
    scgi_temp_path {prefix}/scgi;
    include {prefix}/site.conf;
}}
"""


class Nginx(Program):
    """nginx in front of services on these ports of 127.0.0.1; `url` without TLS, `tls_url` with."""

    def __init__(
        self, prefix: Path, ports: Sequence[int], near: str = NEAR, head_seconds: int = HEAD_SECONDS
    ) -> None:
        self.prefix = prefix
        self.near, self.head_seconds = near, head_seconds
        self.port, self.tls_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.tls_url = f"https://127.0.0.1:{self.tls_port}"
        self.upstream = prefix / "upstream.conf"
        self.upstream.write_text("".join(f"server 127.0.0.1:{port};\n" for port in ports))
        self.certificate = make_certificate(prefix)
        (prefix / "site.conf").write_text(self._site())
        user = "user root;" if os.geteuid() == 0 else ""
        (prefix / "nginx.conf").write_text(MAIN.format(prefix=prefix, user=user))
        self.command = [PROGRAM, "-p", str(prefix), "-c", str(prefix / "nginx.conf")]
        super().__init__(self.command, {}, prefix / "nginx.log")
        self.wait_until(self._listens, "nginx listens")

    @property
    def access_log(self) -> str:
        return (self.prefix / "access.log").read_text()

    def _site(self) -> str:
        """The shipped site; a text that is not in it any more fails here."""
        site = SITE.read_text()
        for shipped, here in {
            "/etc/nginx/photoslot-upstream.conf": str(self.upstream),
            "listen 80;": f"listen 127.0.0.1:{self.port};",
            "listen [::]:80;": "",
            "listen 443 ssl http2;": f"listen 127.0.0.1:{self.tls_port} ssl http2;",
            "listen [::]:443 ssl http2;": "",
            "/etc/letsencrypt/live/photo.example.org/fullchain.pem": str(self.certificate),
            "/etc/letsencrypt/live/photo.example.org/privkey.pem": str(self.prefix / "key.pem"),
            "/var/log/nginx/photoslot.log": str(self.prefix / "access.log"),
            "    127.0.0.0/8 1;": f"    {self.near} 1;",
            "client_header_timeout 10s;": f"client_header_timeout {self.head_seconds}s;",
        }.items():
            assert shipped in site, f"{shipped} is not in {SITE.name}"
            site = site.replace(shipped, here)
        return site

    def _listens(self) -> bool:
        return (self.prefix / "nginx.pid").exists()


@contextmanager
def nginx(
    prefix: Path, *ports: int, near: str = NEAR, head_seconds: int = HEAD_SECONDS
) -> Iterator[Nginx]:
    """It runs as long as the block; `near` is the network that needs no TLS."""
    server = Nginx(prefix, ports, near, head_seconds)
    try:
        yield server
    finally:
        server.stop()


def make_certificate(prefix: Path) -> Path:
    """A certificate of 127.0.0.1 that signs itself, beside its key in key.pem."""
    certificate = prefix / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(prefix / "key.pem"), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate
