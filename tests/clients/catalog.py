"""The HTTP clients that bin/clients tries, and the ways to the service. Needs nothing installed."""

from dataclasses import dataclass

DIRECT, NGINX, NGINX_TLS = "direct", "nginx", "nginx TLS"
WAYS = (DIRECT, NGINX, NGINX_TLS, "HAProxy", "Caddy", "Apache")
# Each proxy as bin/programs knows it.
PROXY_PROGRAMS = {
    NGINX: "nginx",
    NGINX_TLS: "nginx",
    "HAProxy": "haproxy",
    "Caddy": "caddy",
    "Apache": "apache2",
}
PYTHON_PACKAGES = ("requests", "aiohttp", "httpx")
NODE_PACKAGES = ("axios", "got")
# The two tables.
SHOT = "A shot"
REFUSAL = "A wrong password"
WGET = "wget"
JAVA = "HttpClient (Java)"
QT = "QNetworkAccessManager (Qt)"
QT_H2C = f"{QT}, h2c"
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
    Client(WGET, "{programs}/wget.sh", ("wget",)),
    Client("requests", "{python}/bin/python {programs}/with_requests.py"),
    Client("aiohttp", "{python}/bin/python {programs}/with_aiohttp.py"),
    Client("httpx", "{python}/bin/python {programs}/with_httpx.py"),
    Client("fetch (Node)", "node {programs}/fetch.mjs", ("node",)),
    Client("axios", "node {node}/axios.mjs", ("node", "npm")),
    Client("got", "node {node}/got.mjs", ("node", "npm")),
    Client(JAVA, "java -cp {build} Shot", ("javac",)),
    Client("net/http (Go)", "{build}/shot", ("go",)),
    Client("net/http (Go), chunked", "{build}/shot --chunked", ("go",)),
    Client("curl (PHP)", "php {programs}/curl.php", ("php", "php-curl")),
    Client("streams (PHP)", "php {programs}/streams.php", ("php",)),
    Client("LWP (Perl)", "perl {programs}/lwp.pl", ("perl-lwp",)),
    Client("Net::HTTP (Ruby)", "ruby {programs}/net_http.rb", ("ruby",)),
    Client(QT, "/usr/bin/python3 {programs}/qt.py", ("qt-network",)),
    Client(QT_H2C, "/usr/bin/python3 {programs}/qt.py --h2c", ("qt-network",)),
)


@dataclass(frozen=True)
class Reason:
    """Why something cannot work, and after how many seconds at most its client knows."""

    why: str
    seconds: float = 5.0


NO_CLEARTEXT_HTTP2 = Reason(
    "HTTP/2 without TLS and without asking (RFC 9113, 3.3) is not spoken; HAProxy translates it"
)
CADDY_HANGS_UP = Reason(
    "Caddy hangs up half a second after an answer that came before the upload's end, and these look"
    " for an answer only when they have sent everything"
)
QT_ENDS_WITH_TLS = Reason(
    "nginx ends TLS behind an answer that came before the upload's end and reads on; Qt takes that"
    " for the end of the connection and forgets the answer"
)
JAVA_WAITS_FOR_WINDOW = Reason(
    "over HTTP/2 Java's client waits until it may send the rest before it looks at an answer that"
    " has come (RFC 9113, 8.1, allows that answer); nginx takes no more and hangs up after 30 s",
    seconds=55.0,
)
# What cannot work, by table, client and way. A cell that works after all does not belong here.
CANNOT_WORK = {
    **{
        (title, CLEARTEXT_HTTP2, way): NO_CLEARTEXT_HTTP2
        for title in (SHOT, REFUSAL)
        for way in (DIRECT, NGINX, "Caddy", "Apache")
    },
    **{(REFUSAL, client, "Caddy"): CADDY_HANGS_UP for client in (WGET, QT, QT_H2C)},
    (REFUSAL, QT, NGINX_TLS): QT_ENDS_WITH_TLS,
    (REFUSAL, JAVA, NGINX_TLS): JAVA_WAITS_FOR_WINDOW,
}
