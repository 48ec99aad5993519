"""Signing in and out, and every way to pretend one has."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from admin import ADMIN, ADMIN_PASSWORD, Admin, accounts, ensure_account, sign_in, signed_in
from conftest import MakeService
from rig import SIGNING_KEY, Service, until
from tables import Execute, Rows

from service.throttle import LOGIN_ACCOUNT

ELSEWHERE = "127.0.0.2"
NEW_KEY = "another signing key of the tests: 43 bytes "
WRONG = "a wrong password"


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


@pytest.fixture
def stranger(service: Service) -> Iterator[Admin]:
    """Somebody before the door of a service that knows the admin."""
    ensure_account(service)
    with Admin(service) as stranger:
        yield stranger


@pytest.fixture
def leaver(service: Service) -> Iterator[str]:
    """An admin whose account does not outlive the test."""
    yield "igor"
    accounts(service).remove("igor")


def login(
    service: Service,
    username: str = ADMIN,
    password: str = ADMIN_PASSWORD,
    address: str = "127.0.0.1",
) -> httpx.Response:
    """Try to sign in from an address of this machine."""
    with httpx.Client(transport=httpx.HTTPTransport(local_address=address)) as client:
        body = {"username": username, "password": password}
        return client.post(f"{service.url}/api/login", json=body, timeout=30)


def session(service: Service, token: str | None = None) -> httpx.Response:
    with Admin(service, token) as admin:
        return admin.get("/api/session")


def cookie_of(answer: httpx.Response) -> tuple[str, Any]:
    """The name and the morsel of the one cookie of an answer."""
    [(name, morsel)] = SimpleCookie(answer.headers["set-cookie"]).items()
    return name, morsel


def claims(**changes: object) -> dict[str, object]:
    """What a token of ours says; None leaves a claim out."""
    now = time.time()
    usual = {
        "sub": ADMIN,
        "iat": now,
        "exp": now + 3600,
        "jti": str(uuid4()),
        "aud": "photoslot",
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


def token(key: str = SIGNING_KEY, **changes: object) -> str:
    return jwt.encode(claims(**changes), key, "HS256")


def unsigned(header: dict[str, object], signature: str = "") -> str:
    """A token put together by hand."""
    pieces = (json.dumps(part).encode() for part in (header, claims()))
    encoded = (urlsafe_b64encode(piece).rstrip(b"=").decode() for piece in pieces)
    return ".".join((*encoded, signature))


def test_the_right_password_gives_a_session(stranger: Admin) -> None:
    answer = stranger.login()

    told = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert set(told) == {"access_token", "token_type", "username", "expires_at"}
    assert (told["token_type"], told["username"]) == ("Bearer", ADMIN)
    in_12_hours = datetime.now(UTC) + timedelta(hours=12)
    assert abs(datetime.fromisoformat(told["expires_at"]) - in_12_hours) < timedelta(minutes=1)


def test_the_token_says_who_until_when_and_for_whom(stranger: Admin) -> None:
    given = stranger.login().json()["access_token"]

    assert jwt.get_unverified_header(given)["alg"] == "HS256"
    told = jwt.decode(given, SIGNING_KEY, ["HS256"], audience="photoslot")
    assert set(told) == {"sub", "iat", "exp", "jti", "aud"}
    assert told["sub"] == ADMIN


def test_bearer_and_cookie_both_open_the_door(stranger: Admin) -> None:
    answer = stranger.login()
    by_cookie = stranger.get("/api/session")
    by_bearer = session(stranger.service, answer.json()["access_token"])

    expected = {name: answer.json()[name] for name in ("username", "expires_at")}
    expected["public_base_url"] = stranger.service.url
    assert (by_cookie.status_code, by_cookie.json()) == (200, expected)
    assert (by_bearer.status_code, by_bearer.json()) == (200, expected)


def test_the_cookie_is_kept_from_scripts_and_other_sites(stranger: Admin) -> None:
    name, morsel = cookie_of(stranger.login())

    assert name == "session"
    assert morsel["httponly"] is True
    assert morsel["samesite"].lower() == "strict"
    assert morsel["path"] == "/"
    assert morsel["max-age"] == str(12 * 3600)
    assert not morsel["secure"]
    assert not morsel["domain"]


def test_behind_https_the_cookie_is_bound_to_the_host(make_service: MakeService) -> None:
    service = make_service(PUBLIC_BASE_URL="https://photos.example", SESSION_HOURS="2")
    ensure_account(service)

    name, morsel = cookie_of(login(service))

    assert name == "__Host-session"
    assert morsel["secure"] is True
    assert morsel["httponly"] is True
    assert morsel["samesite"].lower() == "strict"
    assert morsel["path"] == "/"
    assert not morsel["domain"]
    assert morsel["max-age"] == str(2 * 3600)
    with Admin(service) as page:
        cookie = {"cookie": f"{name}={morsel.value}"}
        assert page.get("/api/session", headers=cookie).status_code == 200
        plain = {"cookie": f"session={morsel.value}"}
        assert page.get("/api/session", headers=plain).status_code == 401


def test_logout_ends_the_session_everywhere(service: Service, make_service: MakeService) -> None:
    here, there = service, make_service()
    with sign_in(here) as admin, sign_in(here, anew=True) as other:
        assert session(there, admin.token).status_code == 200

        answer = admin.post("/api/logout")

        assert (answer.status_code, answer.content) == (204, b"")
        assert session(here, admin.token).status_code == 401
        assert session(there, admin.token).status_code == 401
        assert session(there, other.token).status_code == 200


def test_logout_takes_the_cookie_back(stranger: Admin) -> None:
    stranger.login()

    answer = stranger.post("/api/logout")

    name, morsel = cookie_of(answer)
    assert (name, morsel.value, morsel["max-age"]) == ("session", "", "0")
    assert stranger.get("/api/session").status_code == 401


def test_a_second_logout_is_refused(admin: Admin) -> None:
    assert admin.post("/api/logout").status_code == 204
    assert admin.post("/api/logout").status_code == 401


def test_a_changed_password_ends_sessions_at_once(service: Service, leaver: str) -> None:
    with sign_in(service, leaver) as admin:
        accounts(service).set_password(leaver, "a new password")

        assert admin.get("/api/session").status_code == 401
        assert login(service, leaver, ADMIN_PASSWORD).status_code == 401
        again = login(service, leaver, "a new password")
        assert session(service, again.json()["access_token"]).status_code == 200


def test_a_removed_admin_is_out_at_once(service: Service, leaver: str) -> None:
    with sign_in(service, leaver) as admin, sign_in(service) as colleague:
        accounts(service).remove(leaver)

        assert admin.get("/api/session").status_code == 401
        assert login(service, leaver).status_code == 401
        assert colleague.get("/api/session").status_code == 200


def test_an_admin_who_was_removed_and_made_anew_signs_in_anew(
    service: Service, leaver: str
) -> None:
    with sign_in(service, leaver) as admin:
        accounts(service).remove(leaver)
        ensure_account(service, leaver)

        assert admin.get("/api/session").status_code == 401


def test_a_damaged_accounts_file_opens_no_door(service: Service, admin: Admin) -> None:
    path = service.media_root.parent / "secrets" / "runtime_credentials.json"
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:20])
        known, signing_in = admin.get("/api/session"), login(service)
    finally:
        path.write_bytes(whole)

    assert known.status_code == signing_in.status_code == 503
    assert known.json()["failure_reason"] == "storage_error"
    assert login(service).status_code == 200


def test_a_wrong_password_is_refused(stranger: Admin) -> None:
    answer = stranger.login(password=WRONG)

    assert answer.status_code == 401
    assert answer.json()["failure_reason"] == "invalid_credentials"
    assert "set-cookie" not in answer.headers


def test_known_and_unknown_names_get_the_same_answer(service: Service, stranger: Admin) -> None:
    known, unknown = login(service, password=WRONG), login(service, "nobody", WRONG)

    assert known.status_code == unknown.status_code == 401
    assert known.json() == unknown.json()
    differing = {"date", "x-request-id"}
    assert set(known.headers) == set(unknown.headers)
    assert {k: v for k, v in known.headers.items() if k not in differing} == {
        k: v for k, v in unknown.headers.items() if k not in differing
    }


def test_known_and_unknown_names_cost_the_same_work(
    service: Service, stranger: Admin, execute: Execute
) -> None:
    def seconds(username: str) -> float:
        before = service.cpu_seconds
        assert login(service, username, WRONG).status_code == 401
        return service.cpu_seconds - before

    known = unknown = 0.0
    for _ in range(9):
        known += seconds(ADMIN)
        unknown += seconds("nobody")
        execute("delete from login_throttle")

    # Without the dummy verification an unknown name is several times cheaper.
    assert 0.6 < unknown / known < 1.7


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ("", 400),
        ("[]", 422),
        ("null", 422),
        ('{"username": "serg"}', 422),
        ('{"username": "serg", "password": null}', 422),
        ('{"username": 1, "password": "x"}', 422),
        ('{"username": "serg", "password": "x", "admin": true}', 422),
        ('{"username": "serg", "password": "\\ud800"}', 400),
        ('{"username": "", "password": ""}', 401),
        ('{"username": "se\\u0000rg", "password": "x"}', 422),
        ('{"username": "serg", "password": "\\u0000"}', 422),
        ('{"username": "\'); drop table slot; --", "password": "x"}', 401),
        ('{"username": "' + "s" * 100_000 + '", "password": "x"}', 401),
        ('{"username": "serg", "password": "' + "p" * 100_000 + '"}', 401),
        ('{"username": "serg", "password": "' + "p" * 300_000 + '"}', 413),
    ],
)
def test_a_strange_body_is_refused_in_the_one_shape(
    stranger: Admin, body: str, status: int
) -> None:
    answer = stranger.post("/api/login", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == status, answer.text
    told = answer.json()
    assert told["status"] == "error"
    assert told["failure_reason"] == answer.headers["x-failure-reason"]
    if status == 422:
        assert {"path", "code", "params", "message"} == set(told["errors"][0])


@pytest.mark.parametrize("mime", ["application/x-www-form-urlencoded", "text/plain", ""])
def test_only_json_signs_in(stranger: Admin, mime: str) -> None:
    body = json.dumps({"username": ADMIN, "password": ADMIN_PASSWORD})

    answer = stranger.post("/api/login", content=body, headers={"content-type": mime})

    assert answer.status_code == 415
    assert answer.json()["failure_reason"] == "unsupported_media_type"


def test_ten_failures_shut_a_name_out_from_that_address(service: Service, stranger: Admin) -> None:
    tries = [login(service, password=WRONG).status_code for _ in range(10)]

    shut = login(service, password=WRONG)
    right = login(service)

    assert tries == [401] * 10
    assert (shut.status_code, right.status_code) == (429, 429)
    assert right.json()["failure_reason"] == "rate_limited"
    assert 0 < int(shut.headers["retry-after"]) <= 15 * 60
    assert int(shut.headers["retry-after"]) > 14 * 60


def test_nobody_locks_an_admin_out_from_elsewhere(service: Service, stranger: Admin) -> None:
    for _ in range(30):
        login(service, password=WRONG, address=ELSEWHERE)

    assert login(service, address=ELSEWHERE).status_code == 429
    assert login(service).status_code == 200


def test_another_name_from_that_address_still_gets_in(service: Service, leaver: str) -> None:
    ensure_account(service)
    ensure_account(service, leaver)
    for _ in range(11):
        login(service, password=WRONG)

    assert login(service).status_code == 429
    assert login(service, leaver).status_code == 200


def test_an_admin_inside_keeps_working_while_the_name_is_shut_out(admin: Admin) -> None:
    for _ in range(11):
        login(admin.service, password=WRONG)

    assert admin.get("/api/session").status_code == 200


def test_the_throttle_holds_in_every_process(service: Service, make_service: MakeService) -> None:
    here, there = service, make_service()
    ensure_account(here)
    for _ in range(10):
        login(here, password=WRONG)

    assert login(there).status_code == 429


def test_unknown_names_are_shut_out_like_known_ones(service: Service, stranger: Admin) -> None:
    for _ in range(10):
        login(service, "nobody", WRONG)

    assert login(service, "nobody", WRONG).status_code == 429


def test_a_success_forgives_the_failures_before_it(service: Service, stranger: Admin) -> None:
    for _ in range(2):
        for _ in range(9):
            assert login(service, password=WRONG).status_code == 401
        assert login(service).status_code == 200


def test_after_fifteen_minutes_the_door_opens_again(
    service: Service, stranger: Admin, execute: Execute
) -> None:
    for _ in range(11):
        login(service, password=WRONG)
    assert login(service).status_code == 429

    execute(
        "update login_throttle set blocked_until = blocked_until - interval '15 minutes',"
        " window_started_at = window_started_at - interval '15 minutes 1 second'"
    )

    assert login(service).status_code == 200


def test_shots_at_once_never_get_more_than_ten_looks(
    service: Service, stranger: Admin, rows: Rows
) -> None:
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: login(service, password=WRONG), range(20)))

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [401] * 10 + [429] * 10
    assert all("retry-after" in one.headers for one in answers if one.status_code == 429)


@pytest.mark.slow
def test_an_address_that_tries_many_names_is_shut_out(service: Service, stranger: Admin) -> None:
    with ThreadPoolExecutor(8) as threads:
        tried = list(threads.map(lambda n: login(service, f"name-{n}", WRONG), range(105)))

    looked_at = sum(answer.status_code == 401 for answer in tried)
    assert looked_at == 100
    assert login(service).status_code == 429
    assert login(service, address=ELSEWHERE).status_code == 200


def test_right_passwords_never_shut_an_address_out(
    service: Service, stranger: Admin, execute: Execute
) -> None:
    assert login(service).status_code == 200
    execute("update login_throttle set failures = failures * 99")

    assert [login(service).status_code for _ in range(3)] == [200] * 3


def test_the_throttle_names_nobody(service: Service, stranger: Admin, rows: Rows) -> None:
    login(service, password=WRONG)

    [first, *_] = kept = rows("select subject from login_throttle")
    assert len(first["subject"]) == 32
    assert not any(ADMIN.encode() in row["subject"] for row in kept)


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(unsigned({"alg": "none", "typ": "JWT"}), id="alg none"),
        pytest.param(unsigned({"alg": "None"}), id="alg None"),
        pytest.param(unsigned({"alg": "RS256"}, "c2lnbmF0dXJl"), id="alg RS256"),
        pytest.param(unsigned({"typ": "JWT"}), id="no alg"),
        pytest.param(jwt.encode(claims(), SIGNING_KEY * 2, "HS512"), id="alg HS512"),
        pytest.param(
            jwt.encode(claims(), SIGNING_KEY, "HS256", headers={"crit": ["who"], "who": "anybody"}),
            id="unknown crit",
        ),
        pytest.param(token(exp=time.time() - 1), id="expired"),
        pytest.param(token(exp="tomorrow"), id="exp no number"),
        pytest.param(token(aud="another service"), id="other aud"),
        pytest.param(token(aud=["another"]), id="other auds"),
        pytest.param(token(iat=time.time() + 3600), id="from the future"),
        *(
            pytest.param(token(**{name: None}), id=f"no {name}")
            for name in ("sub", "iat", "exp", "jti", "aud")
        ),
        pytest.param(token(jti="not a uuid"), id="odd jti"),
        pytest.param(token(sub="nobody"), id="unknown admin"),
        pytest.param(token(sub=""), id="no name"),
        pytest.param(token(sub="a\0b"), id="NUL in the name"),
        pytest.param(token(key="x" * 40), id="another key"),
        pytest.param(token(more="x" * 8192), id="8 kB"),
        pytest.param(token(more="x" * 40_000), id="40 kB"),
        pytest.param("a.b.c", id="no token"),
        pytest.param("..", id="dots"),
        pytest.param("null", id="null"),
    ],
)
def test_a_forged_token_opens_nothing(admin: Admin, forged: str) -> None:
    by_bearer = session(admin.service, forged)
    with Admin(admin.service) as page:
        by_cookie = page.get("/api/session", headers={"cookie": f"session={forged}"})

    for answer in (by_bearer, by_cookie):
        assert answer.status_code in (401, 431), answer.text
        if answer.status_code == 401:
            assert answer.json()["failure_reason"] == "unauthorized"


def test_a_token_of_ours_opens_the_door(admin: Admin) -> None:
    # What keeps the forged ones out is then nothing else that is wrong with them.
    assert session(admin.service, token()).status_code == 200


def test_keys_are_rotated_by_a_list(make_service: MakeService) -> None:
    before = make_service()
    with sign_in(before) as admin:
        during = make_service(JWT_SIGNING_KEY=f"{NEW_KEY},{SIGNING_KEY}")
        after = make_service(JWT_SIGNING_KEY=NEW_KEY)
        fresh = login(during).json()["access_token"]

        assert session(during, admin.token).status_code == 200
        assert session(after, admin.token).status_code == 401
        assert session(after, fresh).status_code == 200
        assert session(before, fresh).status_code == 401


@pytest.mark.parametrize("keys", ["x" * 31, f"{SIGNING_KEY},short", ""])
def test_a_short_signing_key_refuses_to_start(make_service: MakeService, keys: str) -> None:
    service = make_service(ready=False, JWT_SIGNING_KEY=keys)

    assert service.wait() == 2
    assert "JWT_SIGNING_KEY" in service.output
    assert keys[:5] not in service.output or not keys


def test_sign_ins_are_logged_and_audited(service: Service, stranger: Admin, rows: Rows) -> None:
    login(service, password=WRONG)
    login(service, "nobody", WRONG, ELSEWHERE)
    login(service)

    success = service.wait_log("auth.login.success")
    refused = [line for line in service.log if line["event"] == "auth.login.failure"]
    assert (success["username"], success["address"]) == (ADMIN, "127.0.0.1")
    assert [(line["username"], line["address"], line["reason"]) for line in refused] == [
        (ADMIN, "127.0.0.1", "invalid_credentials"),
        ("nobody", ELSEWHERE, "invalid_credentials"),
    ]
    kept = rows("select actor, address, action, details from audit_log order by id")
    reason = {"reason": "invalid_credentials"}
    assert [tuple(row.values()) for row in kept] == [
        (ADMIN, "127.0.0.1", "auth.login.failure", reason),
        ("nobody", ELSEWHERE, "auth.login.failure", reason),
        (ADMIN, "127.0.0.1", "auth.login.success", {}),
    ]


def test_a_shut_out_try_is_told_apart_in_the_log(
    service: Service, stranger: Admin, rows: Rows
) -> None:
    for _ in range(11):
        login(service, password=WRONG)

    service.wait_log("auth.login.failure", reason="rate_limited", username=ADMIN)
    last = rows("select details from audit_log order by id desc limit 1")
    begun = {"reason": "rate_limited", "shut_out": "account_at_address", "tries": 10}
    assert last == [{"details": begun}]


@pytest.mark.parametrize("name", [ADMIN, "nobody", " " + ADMIN])
def test_who_is_shut_out_writes_one_entry_however_often_he_tries(
    service: Service, stranger: Admin, rows: Rows, name: str
) -> None:
    tries = [login(service, name, WRONG).status_code for _ in range(10)]
    more = [login(service, name, WRONG).status_code for _ in range(30)]

    assert (set(tries), set(more)) == ({401}, {429})
    kept = rows("select details ->> 'reason' as reason, count(*) from audit_log group by 1")
    assert {row["reason"]: row["count"] for row in kept} == {
        "invalid_credentials": 10,
        "rate_limited": 1,
    }
    refused = [line for line in service.log if line["event"] == "auth.login.failure"]
    assert len(refused) == 11


def test_one_network_is_one_guesser_however_its_addresses_are_spelt(
    make_service: MakeService,
) -> None:
    service = make_service(TRUSTED_PROXIES="127.0.0.1")
    ensure_account(service)
    spellings = ["2001:db8:1:2::1", "2001:DB8:1:2:0:0:0:1", "[2001:db8:1:2::1]:443"]
    addresses = [*spellings, *(f"2001:db8:1:2:{n}::{n}" for n in range(1, 8))]

    tries = [behind_proxy(service, address, WRONG).status_code for address in addresses]

    assert tries == [401] * 10
    assert behind_proxy(service, "2001:db8:1:2:ffff::9").status_code == 429
    assert behind_proxy(service, "2001:db8:1:3::1").status_code == 200


def test_an_address_of_ipv4_in_ipv6_is_that_of_ipv4(make_service: MakeService) -> None:
    service = make_service(TRUSTED_PROXIES="127.0.0.1")
    ensure_account(service)
    for address in ["192.0.2.7", "::ffff:192.0.2.7", "::FFFF:c000:207"] * 4:
        behind_proxy(service, address, WRONG)

    assert behind_proxy(service, "192.0.2.7").status_code == 429
    assert behind_proxy(service, "::ffff:192.0.2.8").status_code == 200


def behind_proxy(service: Service, address: str, password: str = ADMIN_PASSWORD) -> httpx.Response:
    """A try to sign in that a proxy passes on for that address."""
    with Admin(service) as stranger:
        body = {"username": ADMIN, "password": password}
        return stranger.post("/api/login", json=body, headers={"x-forwarded-for": address})


def test_an_account_that_many_addresses_guess_at_is_slowed_down_but_where_it_is_known(
    service: Service, stranger: Admin, execute: Execute, rows: Rows
) -> None:
    assert login(service).status_code == 200
    for number in range(LOGIN_ACCOUNT.tries):
        assert login(service, password=WRONG, address=f"127.0.1.{number + 1}").status_code == 401

    elsewhere = login(service, address="127.0.2.1")

    assert elsewhere.status_code == 429
    assert 0 < int(elsewhere.headers["retry-after"]) <= LOGIN_ACCOUNT.block_seconds
    assert login(service, "igor", WRONG, "127.0.2.2").status_code == 401
    assert login(service, password=WRONG).status_code == 401
    assert login(service).status_code == 200
    last = "select details from audit_log where details ->> 'reason' = 'rate_limited'"
    begun = {"reason": "rate_limited", "shut_out": "account", "tries": LOGIN_ACCOUNT.tries}
    assert rows(last) == [{"details": begun}]

    execute("update login_throttle set blocked_until = now()")

    assert login(service, address="127.0.2.1").status_code == 200, "a minute later"


def test_an_account_guessed_at_is_slowed_down_to_a_try_a_minute(
    service: Service, stranger: Admin, execute: Execute
) -> None:
    for number in range(LOGIN_ACCOUNT.tries):
        login(service, "nobody", WRONG, f"127.0.1.{number + 1}")
    execute("update login_throttle set blocked_until = now()")

    tries = [login(service, "nobody", WRONG, f"127.0.2.{n}").status_code for n in (1, 2, 3)]

    assert tries == [401, 429, 429]


def test_a_right_sign_in_leaves_no_count(service: Service, stranger: Admin, rows: Rows) -> None:
    assert login(service).status_code == 200

    assert rows("select failures from login_throttle") == []


def test_logouts_are_audited(admin: Admin, rows: Rows) -> None:
    admin.post("/api/logout")

    [row] = rows("select actor, address, target from audit_log where action = 'auth.logout'")
    assert row == {"actor": ADMIN, "address": "127.0.0.1", "target": ADMIN}


def test_no_secret_of_a_sign_in_is_written_down(
    service: Service, stranger: Admin, rows: Rows
) -> None:
    given = stranger.login().json()["access_token"]
    stranger.login(password="mistyped secret")
    session(service, given)
    stranger.post("/api/logout")
    until(lambda: [line for line in service.log if line.get("path") == "/api/logout"], "its line")

    written = service.output + json.dumps(
        rows("select to_jsonb(a) as row from audit_log a")
        + rows("select to_jsonb(e) as row from ended_session e")
    )
    for secret in (ADMIN_PASSWORD, "mistyped secret", given, given.split(".")[2], "$argon2"):
        assert secret not in written


def test_an_admins_name_is_taken_without_the_blanks_around_it(stranger: Admin) -> None:
    answer = stranger.login(f" {ADMIN} ")

    assert answer.json()["username"] == ADMIN
