"""The Docker image holds what requirements.txt pins, and nothing else: is that enough for every driver?"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DRIVERS = ("p1", "mbus")  # optional extras elsewhere; an installer must not have to build an image for them


def needed(requirements: Iterable[str], extras: Iterable[str] = ("",)) -> set[str]:
    """These distributions and what they need in turn, here."""
    found: set[str] = set()
    for text in requirements:
        one = Requirement(text)
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras):
            name = canonicalize_name(one.name)
            found |= {name, *needed(distribution(name).requires or (), one.extras or {""})}
    return found


def test_everything_that_server_and_drivers_import_is_in_the_image() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = [text for driver in DRIVERS for text in project["optional-dependencies"][driver]]
    pinned = re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert needed([*project["dependencies"], *optional]) <= set(map(canonicalize_name, pinned))
