"""The pages before any data: how they are sent, what they may do, what they say."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from browser import CONTENT, Held, Person, barriers, let_it_work
from conftest import MakePerson
from playwright.sync_api import Error, Route, expect
from rig import Service

from service.admin.settings import SettingsChange
from service.admin.slot_fields import SlotChange
from service.app import PAGES
from service.errors import family
from service.faults import PARAMS
from service.site import FOLDER, read_site

EN, RU = (json.loads((FOLDER / "i18n" / f"{name}.json").read_text()) for name in ("en", "ru"))
SCRIPTS = sorted(FOLDER.rglob("*.js"))
SHELLS = sorted(FOLDER.rglob("*.html"))

NOBODYS_JOB = "b5a1c7e2-0d3f-4a68-9c41-7f2e8d90a613"
# Families of keys whose last word is known only when a page runs.
OPEN_KEYS = ("action.", "author.", "detail.", "operation.", "provider.", "reason.", "theme.")
PROMISES = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cache-control": "no-cache",
}
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://(?!www\.w3)"
)
HOUSE = re.compile(r"house|\bдом(а|у|ом|е)?\b", re.I)
# The rule of a field of a form, as `size_limit_mb: { type: "integer", minimum: 1, maximum: 2048 }`.
RULE = re.compile(r"(\w+)(?:: | = )(\{ type: [^}]+\})")


def pages() -> list[str]:
    """The address of every page, with a slot where one is wanted."""
    found = [route.path for route in PAGES if "/static/" not in route.path]
    known = {"{slot_id}": "slot-001", "{job_id}": NOBODYS_JOB}
    return [re.sub(r"\{\w+\}", lambda mark: known[mark[0]], path) for path in found]


def test_every_page_is_a_shell_under_a_strict_policy(service: Service) -> None:
    for path in pages():
        answer = httpx.get(service.url + path, trust_env=False)

        assert answer.status_code == 200, path
        assert PROMISES.items() <= dict(answer.headers).items()
        policy = dict(
            rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; ")
        )
        assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'"
        assert not re.search("unsafe|http|\\*|data:", " ".join(policy.values()))
        again = {"if-none-match": answer.headers["etag"]}
        assert httpx.get(service.url + path, headers=again, trust_env=False).status_code == 304


def test_what_a_page_needs_is_kept_for_ever_under_its_version(service: Service) -> None:
    shell = httpx.get(f"{service.url}/login", trust_env=False).text
    paths = re.findall(r'(?:src|href)="(/static/[^"]+)"', shell)

    site = read_site(FOLDER)
    assert len(paths) > 5
    for path in paths:
        packed = httpx.get(service.url + path, headers={"accept-encoding": "gzip"}, trust_env=False)
        plain = httpx.get(service.url + path, headers={"accept-encoding": ""}, trust_env=False)
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert packed.content == plain.content == site.assets[path.split("/", 3)[3]].data
        old = re.sub(r"/static/\w+/", "/static/0123456789abcdef/", path)
        assert httpx.get(service.url + old, trust_env=False).status_code == 404


def test_another_content_is_another_version(tmp_path: Path) -> None:
    for name, text in {"document.html": "{{body}} {{links}}", "plain.html": "{{content}}"}.items():
        (tmp_path / "html").mkdir(exist_ok=True)
        (tmp_path / "html" / name).write_text(text)
    for name, text in {
        "html/plain/one.html": '<img src="icons/a.svg">',
        "js/pages/one.js": 'import {\n  a,\n} from "../lib/a.js";\nimport "../lib/b.js";\n',
        "js/lib/a.js": 'export * from "./b.js";',
        "js/lib/b.js": "",
        "icons/a.svg": "<svg/>",
        "css/main.css": '@import "a.css";\np {}\n',
        "css/a.css": "a {}\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    first = read_site(tmp_path)
    (tmp_path / "icons/a.svg").write_text("<svg></svg>")
    second = read_site(tmp_path)

    assert first.version != second.version
    text = first.pages["one"].data.decode()
    assert f'src="/static/{first.version}/icons/a.svg"' in text
    assert re.findall(r"modulepreload.*?(js/[\w/.]+)", text) == ["js/lib/a.js", "js/lib/b.js"]
    assert gzip.decompress(first.assets["icons/a.svg"].gzipped) == b"<svg/>"
    assert first.assets["css/main.css"].data == b"a {}\np {}\n"


def test_a_refusal_is_a_page_for_a_browser_and_json_for_everybody_else(service: Service) -> None:
    asked = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    shown = httpx.get(f"{service.url}/nowhere", headers=asked, trust_env=False)
    told = httpx.get(f"{service.url}/nowhere", headers={"accept": "*/*"}, trust_env=False)

    assert shown.status_code == told.status_code == 404
    assert 'data-reason="not_found"' in shown.text
    assert "content-security-policy" in shown.headers
    assert shown.headers["x-failure-reason"] == told.json()["failure_reason"] == "not_found"


def test_every_page_has_its_files_and_every_file_its_page() -> None:
    used = {route.endpoint.__qualname__ for route in PAGES}
    assert len(used) == 2, "pages and their files, nothing else"
    scripts = {path.stem for path in (FOLDER / "js" / "pages").iterdir()}
    shells = {path.stem for path in FOLDER.glob("html/*/*.html")}

    assert scripts == shells
    assert shells == {route.name for route in PAGES} - {"asset"} | {"refusal"}


def test_the_dictionaries_have_the_same_keys() -> None:
    assert list(EN) == sorted(EN) and list(RU) == sorted(RU)
    assert set(EN) == set(RU)
    for key, text in EN.items():
        assert isinstance(text, str) == isinstance(RU[key], str), key


def test_nobody_reads_house_on_a_page() -> None:
    """It is the service that is meant, or the studio."""
    texts = {path: path.read_text() for path in FOLDER.rglob("*.*") if path.suffix != ".png"}

    assert len(texts) > 100
    assert {path for path, text in texts.items() if HOUSE.search(text)} == set()


def test_a_text_that_counts_has_every_plural_form() -> None:
    for texts, forms in ((EN, {"one", "other"}), (RU, {"one", "few", "many", "other"})):
        for key, text in texts.items():
            assert isinstance(text, str) or set(text) == forms, key


def test_a_text_has_the_same_places_in_both_languages() -> None:
    for key in EN:
        found = [set(re.findall(r"\{\w+\}", json.dumps(texts[key]))) for texts in (EN, RU)]
        assert found[0] == found[1], key


def test_every_reason_has_its_sentence() -> None:
    assert {f"reason.{cls.reason}" for cls in family()} == {
        key for key in EN if key.startswith("reason.")
    }


def test_every_code_of_a_fault_has_its_sentence_with_its_parameters() -> None:
    for texts in (EN, RU):
        said = {key: set(re.findall(r"\{(\w+)\}", str(text))) for key, text in texts.items()}
        problems = {key: places for key, places in said.items() if key.startswith("problem.")}
        assert problems == {f"problem.{code}": params for code, params in PARAMS.items()}


def test_every_text_is_used_and_every_used_text_is_there() -> None:
    sources = "".join(path.read_text() for path in [*SCRIPTS, *SHELLS])
    named = set(re.findall(r'"([a-z_]+(?:\.[a-z_0-9]+)+)"', sources))
    named |= set(re.findall(r"[a-z-]+:([a-z_]+\.[a-z_.]+)", sources)) & set(EN)
    named |= {f"{shell.stem}.title" for shell in SHELLS} & set(EN)
    open_keys = {*OPEN_KEYS, *re.findall(r"`([a-z_]+(?:\.[a-z_]+)*[._])\$\{", sources)}
    asked = set(re.findall(r'\bt\(\s*"([^"]+)"|data-i18n="([^"]+)"', sources))

    assert {key for pair in asked for key in pair if key} <= set(EN)
    assert {key for key in set(EN) - named if not key.startswith(tuple(open_keys))} == set()


def rules(script: str) -> dict[str, dict[str, Any]]:
    """The rules that the form of a script has for its fields."""
    found = RULE.findall((FOLDER / "js" / script).read_text())
    quoted = {name: re.sub(r"(\w+):", r'"\1":', rule).replace("_", "") for name, rule in found}
    return {name: json.loads(rule) for name, rule in quoted.items()}


def rule_of(property_: dict[str, Any]) -> dict[str, Any]:
    """The rule of a property of a JSON Schema, as the forms have it."""
    options = property_.get("anyOf", [property_])
    main = next(option for option in options if option["type"] != "null")
    known = {key: main[key] for key in ("type", "minimum", "maximum") if key in main}
    return known | ({"isNullable": True} if {"type": "null"} in options else {})


def test_the_forms_have_the_ranges_of_the_api() -> None:
    slot, settings = (
        msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"]
        for kind in (SlotChange, SettingsChange)
    )
    settings["AT_ONCE"] = settings["provider_max_in_flight"]["additionalProperties"]

    for script, properties in (("slot/form.js", slot), ("settings/form.js", settings)):
        found = rules(script)
        assert len(found) > 2
        assert found == {name: rule_of(properties[name]) for name in found}


def test_the_audit_can_be_filtered_by_everything_it_has_a_word_for() -> None:
    script = (FOLDER / "js/pages/audit.js").read_text()
    offered = re.findall(r'"([\w.]+)"', re.search(r"ACTIONS = \[(.*?)\];", script, re.S)[1])

    assert offered == sorted(offered)
    assert {f"action.{one}" for one in offered} == {key for key in EN if key.startswith("action.")}


def test_every_icon_stands_where_its_number_says() -> None:
    drawn = re.findall(r'id="([\w-]+)" y="(\d+)"', (FOLDER / "icons/icons.svg").read_text())
    style = (FOLDER / "css/icon.css").read_text()
    numbered = re.findall(r'\[data-icon="([\w-]+)"\] {\s+--icon: (\d+);', style)

    assert [(name, int(y) / 24) for name, y in drawn] == [(name, int(n)) for name, n in numbered]
    assert f"--icons: {len(drawn)};" in style
    assert f'viewBox="0 0 24 {24 * len(drawn)}"' in (FOLDER / "icons/icons.svg").read_text()
    named = "".join(path.read_text() for path in [*SCRIPTS, *SHELLS])
    assert set(re.findall(r'(?:data-icon="|\bicon\(")([\w-]+)"', named)) <= {
        name for name, _ in drawn
    }


@pytest.mark.parametrize("shell", SHELLS, ids=lambda path: path.stem)
def test_a_shell_has_no_words_and_no_code(shell: Path) -> None:
    text = shell.read_text()
    words = re.sub(
        r"<[^>]*>|\{\{\w+\}\}|Photoslot", "", re.sub(r"<!--.*?-->", "", text, flags=re.S)
    )

    assert words.strip() == ""
    assert not re.search(r'\s(style|on\w+|title|placeholder|aria-label|alt)="[^"]', text)
    assert "<style" not in text and not re.search(r"<script(?![^>]*\ssrc=)", text)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_keeps_text_text_and_asks_only_this_service(script: Path) -> None:
    text = script.read_text()

    assert not FORBIDDEN.search(text)
    assert len(text.splitlines()) <= 150
    for target in re.findall(r'from "([^"]+)"', text):
        assert target.startswith("."), target


@pytest.mark.browser
@pytest.mark.parametrize("path", [*pages(), "/nowhere"])
def test_a_page_stands_in_nobodys_way(make_person: MakePerson, path: str) -> None:
    """While it waits for its content, when it is there, and in the other colours."""
    person = make_person().sign_in()
    person.expect_refusal(403, 404)
    data = re.compile("/(api|public)/")
    person.context.route(data, lambda route: None)
    page = person.open(path)
    assert page.title() != "Photoslot"
    assert barriers(page) == []

    person.context.unroute(data)
    page.reload()
    page.wait_for_selector(CONTENT, state="attached")
    assert barriers(page) == []

    page.emulate_media(color_scheme="dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert barriers(page, "color-contrast") == []


@pytest.mark.browser
@pytest.mark.parametrize("path", ["/", "/slots/slot-001", f"/journal/{NOBODYS_JOB}", "/settings"])
def test_a_page_says_why_it_is_empty_and_fills_when_that_has_passed(
    make_person: MakePerson, path: str
) -> None:
    person = make_person().sign_in()
    person.expect_refusal(404, 503)
    away = {"failure_reason": "database_unavailable", "details": "", "job_id": None}
    data = re.compile(r"/api/(?!session)")
    person.context.route(data, lambda route: route.fulfill(status=503, json=away))
    page = person.open(path)
    expect(page.locator("#trouble")).to_have_text("The database does not answer.")
    assert barriers(page) == []

    person.context.unroute(data)

    page.wait_for_selector(CONTENT, state="attached")
    expect(page.get_by_text("The database does not answer.")).to_be_hidden()


@pytest.mark.browser
def test_a_page_that_has_asked_too_often_asks_again(admin_browser: Person) -> None:
    admin_browser.expect_refusal(429)
    busy = {"failure_reason": "rate_limited"}
    admin_browser.context.route(
        "**/api/providers", lambda route: route.fulfill(status=429, json=busy), times=1
    )

    page = admin_browser.open("/slots/slot-001")

    expect(page.locator("#slot")).to_be_visible()
    expect(page.locator("#trouble")).to_be_hidden()


@pytest.mark.browser
@pytest.mark.parametrize("path", ["/journal", "/slots/slot-001"])
def test_a_page_that_has_no_words_yet_says_nothing(make_person: MakePerson, path: str) -> None:
    person = make_person().sign_in()
    person.expect_refusal(503)
    words = Held(person, "**/i18n/en.json")
    person.context.route(
        re.compile(r"/api/(?!session)"),
        lambda route: route.fulfill(status=503, json={"failure_reason": "database_unavailable"}),
    )
    page = person.context.new_page()
    with page.expect_response(lambda answer: answer.status == 503):
        page.goto(path)
    let_it_work(page)
    expect(page.locator("#trouble")).to_have_attribute("hidden", "")

    words.let_go()

    expect(page.locator("#trouble")).to_have_text("The database does not answer.")


@pytest.mark.browser
@pytest.mark.parametrize("path", [path for path in pages() if path != "/login"])
def test_a_page_whose_words_come_last_misses_nothing(make_person: MakePerson, path: str) -> None:
    person = make_person().sign_in()
    person.expect_refusal(403, 404)
    words = Held(person, "**/i18n/en.json")
    page = person.context.new_page()
    with page.expect_response(re.compile("/(api|public)/")):
        page.goto(path)
    let_it_work(page)

    words.let_go()

    page.wait_for_selector(CONTENT, state="attached")


@pytest.mark.browser
def test_a_page_asks_again_for_words_that_did_not_come(make_person: MakePerson) -> None:
    person = make_person()
    person.expect_refusal("FAILED", 503)
    answers = iter(["cut", "refused"])

    def spoil(route: Route) -> None:
        how = next(answers, None)
        if how == "cut":
            route.abort()
        elif how == "refused":
            route.fulfill(status=503, body="")
        else:
            route.continue_()

    person.context.route("**/i18n/en.json", spoil)

    page = person.open("/login")

    expect(page.get_by_role("heading")).to_have_text("Sign in")
    assert next(answers, None) is None


@pytest.mark.browser
def test_a_page_that_is_cut_off_before_it_has_words_says_so(admin_browser: Person) -> None:
    words = Held(admin_browser, "**/i18n/en.json", answered=True)
    page = admin_browser.context.new_page()
    page.goto("/settings")
    words.wait(page)
    admin_browser.go_offline()

    words.let_go()

    cut_off = page.get_by_text("No connection to Photoslot.").first
    expect(cut_off).to_be_visible()
    admin_browser.come_back()
    expect(cut_off).to_be_hidden()


@pytest.mark.browser
def test_a_page_speaks_the_readers_language_and_colours(make_person: MakePerson) -> None:
    page = make_person("ru", "dark").open("/login")
    expect(page.locator("html")).to_have_attribute("lang", "ru")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.get_by_role("heading")).to_have_text("Вход")

    page.get_by_role("button", name="English").click()
    page.wait_for_selector("html[lang=en][data-ready]")
    page.get_by_role("button", name="Colours: as the device").click()
    page.reload()

    expect(page.get_by_role("heading")).to_have_text("Sign in")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


@pytest.mark.browser
def test_the_browser_reaches_nothing_but_this_machine(admin_browser: Person) -> None:
    page = admin_browser.open("/login")
    with pytest.raises(Error, match="ERR_PROXY_CONNECTION_FAILED"):
        page.goto("http://192.0.2.1/")
