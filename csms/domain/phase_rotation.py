"""On which phase of the grid a station's own L1, L2 and L3 are. Pure.

ConnectorPhaseRotation lists "connector.rotation", with R, S, T for the grid's L1, L2, L3; 0 stands for the
station as a whole. Source: OCPP 1.6 section 9.1.7.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

Phases = tuple[str, str, str]

NATURAL: Phases = ("L1", "L2", "L3")
_OF_LETTER = {"R": "L1", "S": "L2", "T": "L3"}
_ENTRY = re.compile(r"\s*(\d+)\s*[.:]?\s*([RST]{3})\s*", re.IGNORECASE)


def rotations(told: str | None, connectors: Collection[int]) -> dict[int, Phases]:
    """ "1.RST,2.STR" -> {1: (L1, L2, L3), 2: (L2, L3, L1)}. What is unknown, or no rotation, is left out."""
    found: dict[int, Phases] = {}
    for entry in (told or "").split(","):
        match = _ENTRY.fullmatch(entry)
        if match is None or set(match[2].upper()) != set(_OF_LETTER):
            continue
        first, second, third = (_OF_LETTER[letter] for letter in match[2].upper())
        found[int(match[1])] = (first, second, third)
    if (of_all := found.pop(0, None)) is not None:
        found = {number: of_all for number in connectors if number > 0} | found
    return found


def phase_order(described: Sequence[str], told: Phases | None) -> Sequence[str]:
    """The site's phases on the station's L1, L2, L3. What a person described with another order than the
    natural one, or with fewer phases, was looked up on the wiring: it wins over a setting of the station."""
    return told if told is not None and tuple(described) == NATURAL else described
