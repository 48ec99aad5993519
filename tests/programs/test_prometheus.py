"""What is shipped for Prometheus and Grafana: judged by promtool, compared with what /metrics
gives, loaded by a real Prometheus that scrapes the service."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from camera import Camera
from documents import read_yaml
from rig import ROOT, Program, Service, free_port, until

DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
ALERTS = PROMETHEUS / "alerts.yml"
RUNBOOK = ROOT / "spec" / "runbook.md"
SUFFIXES = ("_bucket", "_sum", "_count", "_total")
# Added by Prometheus itself, or a part of every histogram.
ALWAYS = {"instance", "job", "le"}


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_yaml(ALERTS)["groups"][0]["rules"]
    return found


def board() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DEPLOY / "grafana.json").read_text())
    return found


def expressions() -> Iterator[str]:
    """Everything that is asked of Prometheus by the alerts and by the board."""
    yield from (rule["expr"] for rule in rules())
    for panel in board()["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    yield from (one["query"] for one in board()["templating"]["list"] if one["type"] == "query")


def family(metric: str) -> str:
    for suffix in SUFFIXES:
        metric = metric.removesuffix(suffix)
    return metric


def documented_labels() -> dict[str, set[str]]:
    """The labels of each family by spec/metrics.md, which another test holds to the service."""
    rows = re.findall(
        r"^\| `(\w+)` \| (?:counter|gauge|histogram) \|([^|]*)\|",
        (ROOT / "spec" / "metrics.md").read_text(),
        re.MULTILINE,
    )
    return {
        f"photoslot_{family(name)}": set(re.findall(r"`(\w+)`", labels)) for name, labels in rows
    }


def served_families(service: Service) -> set[str]:
    Camera(service.url).shoot()
    text = httpx.get(f"{service.url}/metrics", trust_env=False).text
    return {family(name) for name in re.findall(r"^# TYPE (photoslot_\w+)", text, re.MULTILINE)}


def promtool(*arguments: str, cwd: Path = PROMETHEUS) -> str:
    done = subprocess.run(
        ["promtool", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_finds_the_rules_and_the_configuration_right(tmp_path: Path) -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", "alerts.yml")
    promtool("check", "config", str(shipped_config(tmp_path, 8000)))


def test_each_alert_fires_when_it_should_and_not_before() -> None:
    promtool("test", "rules", "alerts.test.yml")
    tested = read_yaml(PROMETHEUS / "alerts.test.yml")["tests"]
    fired = {
        case["alertname"]
        for test in tested
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert fired == {rule["alert"] for rule in rules()}


def test_the_runbook_says_what_to_do_about_each_alert() -> None:
    headings = re.findall(r"^### (Photoslot\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert headings == [rule["alert"] for rule in rules()]


def test_every_metric_and_label_that_is_asked_for_exists(service: Service) -> None:
    served, labels = served_families(service), documented_labels()
    for expression in expressions():
        names = {family(name) for name in re.findall(r"\bphotoslot_\w+", expression)}
        assert names <= served, expression
        known = set().union(*(labels[name] for name in names)) | ALWAYS
        grouped = re.findall(r"\bby \(([^)]*)\)", expression)
        asked = {label.strip() for group in grouped for label in group.split(",")}
        for metric, selectors in re.findall(r"\b(photoslot_\w+)\{([^}]*)\}", expression):
            chosen = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selectors))
            assert chosen <= labels[family(metric)] | ALWAYS, expression
        assert asked <= known, expression


def test_every_panel_has_its_place() -> None:
    ids = [panel["id"] for panel in board()["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in board()["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells


def shipped_config(folder: Path, port: int) -> Path:
    """The shipped configuration with this service's port, the shipped rules, and no patience."""
    text = (PROMETHEUS / "prometheus.yml").read_text()
    for shipped, here in {
        "/etc/prometheus/photoslot-alerts.yml": str(ALERTS),
        "127.0.0.1:8000": f"127.0.0.1:{port}",
        "scrape_interval: 15s": "scrape_interval: 1s",
        "evaluation_interval: 15s": "evaluation_interval: 1s",
    }.items():
        assert shipped in text
        text = text.replace(shipped, here)
    path = folder / "prometheus.yml"
    path.write_text(text)
    return path


@pytest.fixture
def prometheus(service: Service, tmp_path: Path) -> Iterator[str]:
    """The address of a real Prometheus with the shipped configuration."""
    port = free_port()
    program = Program(
        [
            "prometheus",
            f"--config.file={shipped_config(tmp_path, service.port)}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        {},
        tmp_path / "prometheus.log",
    )
    try:
        url = f"http://127.0.0.1:{port}"
        program.wait_until(lambda: answers(f"{url}/-/ready"), "Prometheus is ready")
        yield url
    finally:
        program.stop()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def query(prometheus: str, expression: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": expression}, trust_env=False)
    assert answer.is_success, f"{expression}: {answer.text}"
    found: list[dict[str, Any]] = answer.json()["data"]["result"]
    return found


def test_a_real_prometheus_scrapes_the_service_loads_the_rules_and_understands_the_board(
    service: Service, prometheus: str
) -> None:
    assert Camera(service.url).shoot().status_code == 200
    done = 'photoslot_shots_total{job="photoslot", outcome="done"}'
    until(lambda: query(prometheus, done), "it has scraped the shot")
    assert query(prometheus, 'up{job="photoslot"}')[0]["value"][1] == "1"

    groups = httpx.get(f"{prometheus}/api/v1/rules", trust_env=False).json()["data"]["groups"]
    loaded = {rule["name"] for group in groups for rule in group["rules"]}
    assert loaded == {rule["alert"] for rule in rules()}
    for expression in expressions():
        if not expression.startswith("label_values"):
            query(prometheus, expression.replace("$__rate_interval", "1m").replace("$slot", ".*"))
