"""What is written down as YAML, read once and quickly."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from rig import ROOT

OPENAPI = ROOT / "spec" / "openapi.yaml"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def read_yaml(path: Path) -> Any:
    """The content of a file; by libyaml, which takes a tenth of the time."""
    return yaml.load(path.read_text(), yaml.CSafeLoader)


@cache
def openapi() -> dict[str, Any]:
    """The OpenAPI document."""
    document: dict[str, Any] = read_yaml(OPENAPI)
    return document


def operations() -> dict[tuple[str, str], dict[str, Any]]:
    """Its operations by path and method."""
    return {
        (path, method): item[method]
        for path, item in openapi()["paths"].items()
        for method in METHODS
        if method in item
    }
