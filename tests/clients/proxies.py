"""The proxies in front of the service, each with the configuration that is shipped for it: only
addresses and files differ."""

import os
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from clients.catalog import DIRECT, NGINX, NGINX_TLS
from nginx import PROGRAM as NGINX_PROGRAM
from nginx import make_certificate, nginx
from rig import ROOT, Program, free_port

DEPLOY = ROOT / "deploy"
SHIPPED_SERVICE = "127.0.0.1:8000"
APACHE_MODULES = (
    *("mpm_event", "authz_core", "authz_host", "headers", "alias", "reqtimeout"),
    *("proxy", "proxy_http", "ssl", "socache_shmcb"),
)
APACHE_MAIN = """
ServerRoot {prefix}
ServerName 127.0.0.1
PidFile {prefix}/apache.pid
Mutex file:{prefix}
ErrorLog /dev/stderr
User www-data
Group www-data
{modules}
Listen 127.0.0.1:{port}
Listen 127.0.0.1:{tls_port}
Include {prefix}/site.conf
"""


@dataclass(frozen=True)
class Way:
    """A way to the service: what clients post to, and what stands there. A proxy also listens with
    TLS, with a certificate that `environment` makes clients trust."""

    name: str
    url: str
    version: str = ""
    tls_url: str = ""
    certificate: Path = Path()
    environment: Mapping[str, str] = field(default_factory=dict)


class Proxy(Program):
    """A proxy on a port of 127.0.0.1."""

    def __init__(self, command: Sequence[str], prefix: Path, port: int) -> None:
        self.port = port
        own = {"HOME": str(prefix), "XDG_DATA_HOME": str(prefix), "XDG_CONFIG_HOME": str(prefix)}
        super().__init__(command, own, prefix / "proxy.log", prefix)
        self.wait_until(self._listens, f"{command[0]} listens")

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


@contextmanager
def open_way(name: str, folder: Path, service: int) -> Iterator[Way]:
    """The way of this name to the service on a port, for as long as the block runs."""
    if name == DIRECT:
        yield Way(name, f"http://127.0.0.1:{service}")
        return
    prefix = folder / name.replace(" ", "-")
    prefix.mkdir()
    # Apache's and nginx's workers are not root.
    prefix.chmod(0o755)
    open_proxy = _open_nginx if name in (NGINX, NGINX_TLS) else _open_other
    with open_proxy(name, prefix, service) as way:
        yield way


@contextmanager
def _open_nginx(name: str, prefix: Path, service: int) -> Iterator[Way]:
    with nginx(prefix, service, near="127.0.0.0/8", head_seconds=10) as server:
        version, certificate = _version([NGINX_PROGRAM, "-v"]), server.certificate
        plain = Way(name, server.url, version, server.tls_url, certificate)
        if name == NGINX_TLS:
            yield replace(plain, url=server.tls_url, environment=_trust(certificate))
        else:
            yield plain


@contextmanager
def _open_other(name: str, prefix: Path, service: int) -> Iterator[Way]:
    port, tls_port = free_port(), free_port()
    certificate = make_certificate(prefix)
    start = {"HAProxy": _haproxy, "Caddy": _caddy, "Apache": _apache}[name]
    command, version = start(prefix, service, port, tls_port)
    proxy = Proxy(command, prefix, port)
    try:
        url, tls_url = f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}"
        yield Way(name, url, _version(version), tls_url, certificate)
    finally:
        proxy.stop()


Commands = tuple[list[str], list[str]]


def _haproxy(prefix: Path, service: int, port: int, tls_port: int) -> Commands:
    both = (prefix / "certificate.pem").read_text() + (prefix / "key.pem").read_text()
    (prefix / "both.pem").write_text(both)
    config = _shipped(
        "haproxy.cfg",
        {
            SHIPPED_SERVICE: f"127.0.0.1:{service}",
            "bind :80": f"bind 127.0.0.1:{port}",
            "bind :443": f"bind 127.0.0.1:{tls_port}",
            "/etc/haproxy/photo.example.org.pem": str(prefix / "both.pem"),
        },
    )
    (prefix / "haproxy.cfg").write_text(config)
    program = "/usr/sbin/haproxy"
    return [program, "-db", "-f", str(prefix / "haproxy.cfg")], [program, "-v"]


def _caddy(prefix: Path, service: int, port: int, tls_port: int) -> Commands:
    certificate = f"tls {prefix}/certificate.pem {prefix}/key.pem"
    config = _shipped(
        "Caddyfile",
        {
            SHIPPED_SERVICE: f"127.0.0.1:{service}",
            # Here and nowhere else, and no second port for its administration.
            "    servers {": "    admin off\n    default_bind 127.0.0.1\n"
            "    auto_https disable_redirects\n    servers {",
            "http://photo.example.org {": f"http://127.0.0.1:{port} {{",
            "\nphoto.example.org {": f"\nhttps://127.0.0.1:{tls_port} {{\n    {certificate}",
        },
    )
    (prefix / "Caddyfile").write_text(config)
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(prefix / "Caddyfile")]
    return command, ["caddy", "version"]


def _apache(prefix: Path, service: int, port: int, tls_port: int) -> Commands:
    site = _shipped(
        "apache.conf",
        {
            SHIPPED_SERVICE: f"127.0.0.1:{service}",
            "*:80>": f"127.0.0.1:{port}>",
            "*:443>": f"127.0.0.1:{tls_port}>",
            "/etc/letsencrypt/live/photo.example.org/fullchain.pem": f"{prefix}/certificate.pem",
            "/etc/letsencrypt/live/photo.example.org/privkey.pem": f"{prefix}/key.pem",
        },
    )
    (prefix / "site.conf").write_text(site)
    modules = "\n".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so"
        for name in APACHE_MODULES
    )
    main = APACHE_MAIN.format(prefix=prefix, modules=modules, port=port, tls_port=tls_port)
    if os.geteuid() != 0:
        main = re.sub("^(User|Group) .*\n", "", main, flags=re.M)
    (prefix / "apache.conf").write_text(main)
    program = "/usr/sbin/apache2"
    return [program, "-DFOREGROUND", "-f", str(prefix / "apache.conf")], [program, "-v"]


def _trust(certificate: Path) -> dict[str, str]:
    """The environment in which every client trusts this certificate."""
    store = certificate.with_suffix(".p12")
    subprocess.run(
        [
            *("keytool", "-importcert", "-noprompt", "-alias", "photoslot", "-file"),
            *(str(certificate), "-keystore", str(store), "-storepass", "photoslot"),
        ],
        check=True,
        capture_output=True,
    )
    names = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
    java = f"-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword=photoslot"
    return {
        **dict.fromkeys([*names, "PERL_LWP_SSL_CA_FILE"], str(certificate)),
        "JDK_JAVA_OPTIONS": java,
    }


def _shipped(name: str, changes: Mapping[str, str]) -> str:
    """A shipped file with other addresses; a text that is not in it any more fails here."""
    text = (DEPLOY / name).read_text()
    for shipped, here in changes.items():
        assert shipped in text, f"{shipped} is not in {name}"
        text = text.replace(shipped, here)
    return text


def _version(command: Sequence[str]) -> str:
    """The first number with dots that a program says of itself."""
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"\d+(?:\.\d+)+", said.stdout + said.stderr)
    assert found, f"{command[0]} has no version"
    return found[0]
