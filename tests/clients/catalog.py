"""The HTTP clients that bin/clients tries, and the ways to the service. Needs nothing installed."""

from dataclasses import dataclass

DIRECT = "direct"
WAYS = (DIRECT, "nginx", "HAProxy", "Caddy", "Apache")
# Each proxy as bin/programs knows it.
PROXY_PROGRAMS = {"nginx": "nginx", "HAProxy": "haproxy", "Caddy": "caddy", "Apache": "apache2"}
PYTHON_PACKAGES = ("requests", "aiohttp", "httpx")
NODE_PACKAGES = ("axios", "got")
CLEARTEXT_HTTP2 = "curl --http2-prior-knowledge"


@dataclass(frozen=True)
class Client:
    """One HTTP client. `command` is a program of tests/clients/programs with its options, after the
    interpreter it needs; {python}, {node} and {build} are folders of what was installed and built.
    It is called with URL, photo, password, the file for the answer's body and the form's text
    fields as NAME=VALUE; its first line is its version, its second the answer's status and type.
    `programs` are those of Debian, as bin/programs knows them."""

    name: str
    command: str
    programs: tuple[str, ...] = ()


CLIENTS = (
    Client("curl", "{programs}/curl.sh", ("curl",)),
    Client("curl --http2", "{programs}/curl.sh --http2", ("curl",)),
    Client(CLEARTEXT_HTTP2, "{programs}/curl.sh --http2-prior-knowledge", ("curl",)),
    Client("curl --http1.0", "{programs}/curl.sh --http1.0", ("curl",)),
    Client("wget", "{programs}/wget.sh", ("wget",)),
    Client("requests", "{python}/bin/python {programs}/with_requests.py"),
    Client("aiohttp", "{python}/bin/python {programs}/with_aiohttp.py"),
    Client("httpx", "{python}/bin/python {programs}/with_httpx.py"),
    Client("fetch (Node)", "node {programs}/fetch.mjs", ("node",)),
    Client("axios", "node {node}/axios.mjs", ("node", "npm")),
    Client("got", "node {node}/got.mjs", ("node", "npm")),
    Client("HttpClient (Java)", "java -cp {build} Shot", ("javac",)),
    Client("net/http (Go)", "{build}/shot", ("go",)),
    Client("net/http (Go), chunked", "{build}/shot --chunked", ("go",)),
    Client("curl (PHP)", "php {programs}/curl.php", ("php", "php-curl")),
    Client("streams (PHP)", "php {programs}/streams.php", ("php",)),
    Client("LWP (Perl)", "perl {programs}/lwp.pl", ("perl-lwp",)),
    Client("Net::HTTP (Ruby)", "ruby {programs}/net_http.rb", ("ruby",)),
    Client("QNetworkAccessManager (Qt)", "/usr/bin/python3 {programs}/qt.py", ("qt-network",)),
    Client("QNetworkAccessManager (Qt), h2c", "/usr/bin/python3 {programs}/qt.py --h2c", ("qt-network",)),
)

# What cannot work, by client and way, and why. Such a client has to be told so at once, and a cell
# that works after all does not belong here.
NO_CLEARTEXT_HTTP2 = (
    "HTTP/2 without TLS and without asking (RFC 9113, 3.3) is not spoken here; HAProxy translates it"
)
CANNOT_WORK = {
    (CLEARTEXT_HTTP2, way): NO_CLEARTEXT_HTTP2 for way in (DIRECT, "nginx", "Caddy", "Apache")
}
