"""Plain HTML and SVG elements whose text and attributes go to the browser only when they change."""

from __future__ import annotations

import math
from typing import Any

from nicegui.elements.mixins.text_element import TextElement


class Tag(TextElement):
    """One element. Attributes are written with "_" for "-"; a None is left out."""

    def __init__(self, tag: str, text: str = "", classes: str = "", **attributes: Any) -> None:
        super().__init__(tag=tag, text=text)
        if classes:
            self.classes(classes)
        self.put(**attributes)

    def say(self, text: str) -> None:
        self.text = text  # a bindable property: nothing is sent if it is the same

    def put(self, **attributes: Any) -> None:
        for name, value in attributes.items():
            key = name.rstrip("_").replace("_", "-")
            if value is None:
                if key in self.props:
                    del self.props[key]
            elif self.props.get(key) != value:
                self.props[key] = value

    def be(self, **classes: bool) -> None:
        """Carry a class or not: `be(is_late=True)` adds "is-late"."""
        for name, wanted in classes.items():
            name = name.replace("_", "-")
            if wanted != (name in self._classes):
                self.classes(add=name if wanted else None, remove=None if wanted else name)

    def show(self, visible: bool) -> None:
        self.be(gone=not visible)


ICONS = {
    "house": "M3.5 11.5 12 4l8.5 7.5M6 9.8V20h12V9.8M10 20v-5.5h4V20",
    "grid": "M12 3 7.5 21M12 3l4.5 18M5 8.5h14M6.5 12.5h11M10.6 8.5l4.6 7.5M13.4 8.5 8.8 16M9 16h6",
    "plug": "M9 3v5M15 3v5M6.5 8h11v2.5a5.5 5.5 0 0 1-11 0zM12 16v5",
    "battery": "M3.5 8h15v8h-15zM18.5 10.5h2.5v3h-2.5M7 11v2M10.5 11v2",
    "connector": "M4 16.5v-3.2L6.2 8a2 2 0 0 1 1.9-1.3h7.8A2 2 0 0 1 17.8 8l2.2 5.3v3.2zM4.6 12.5h14.8"
    "M6 16.5v2M18 16.5v2M7.5 14.6h.01M16.5 14.6h.01",
    "water_heater": "M12 3.5c3.8 4.6 6 7.5 6 10.7a6 6 0 0 1-12 0c0-3.2 2.2-6.1 6-10.7zM9 14.5a3 3 0 0 0 3 3",
    "heat_pump": "M12 3.5a8.5 8.5 0 1 0 .01 0zM12 12c-1-3.5.5-5 2.5-5.2M12 12c3.5-1 5 .5 5.2 2.5"
    "M12 12c1 3.5-.5 5-2.5 5.2M12 12c-3.5 1-5-.5-5.2-2.5",
    "radiator": "M5 6v13M8.5 6v13M12 6v13M15.5 6v13M19 6v13M3 9h18M3 16h18",
    "pool_pump": "M3 13c2.2 0 2.2-1.6 4.5-1.6S9.8 13 12 13s2.2-1.6 4.5-1.6S18.800 13 21 13"
    "M3 18c2.2 0 2.2-1.6 4.5-1.6S9.8 18 12 18s2.2-1.6 4.5-1.6S18.800 18 21 18M9 9V5.5a1.5 1.5 0 0 1 3 0"
    "M15 9V5.5a1.5 1.5 0 0 1 3 0",
}
ICONS |= {
    "generic": ICONS["plug"],
    "water_heater_no_neutral": ICONS["water_heater"],
    "sg_ready": ICONS["heat_pump"],
}


def icon(kind: str, **attributes: Any) -> Tag:
    """A line drawing on a 24 × 24 grid."""
    drawing = Tag("svg", classes="icon", viewBox="0 0 24 24", aria_hidden="true", **attributes)
    with drawing:
        Tag("path", d=ICONS.get(kind, ICONS["generic"]))
    return drawing


def petals(count: int, inner: float, outer: float, width: float, turn: float = 0.0) -> str:
    """SVG path of a wreath of petals around the origin."""
    parts = []
    for n in range(count):
        angle = 2 * math.pi * (n + turn) / count

        def point(radius: float, aside: float, angle: float = angle) -> str:
            x = radius * math.sin(angle) + aside * math.cos(angle)
            y = -radius * math.cos(angle) + aside * math.sin(angle)
            return f"{x:.1f} {y:.1f}"

        belly = inner + (outer - inner) * 0.55
        parts.append(
            f"M{point(inner, -width * 0.5)}"
            f"C{point(belly, -width)} {point(outer * 0.93, -width * 0.45)} {point(outer, 0)}"
            f"C{point(outer * 0.93, width * 0.45)} {point(belly, width)} {point(inner, width * 0.5)}Z"
        )
    return "".join(parts)


SUNFLOWER_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-32 -32 64 64">'
    f'<path fill="#d99400" d="{petals(14, 10, 31, 5.5, 0.5)}"/>'
    f'<path fill="#f6bd1a" d="{petals(14, 10, 29, 5)}"/>'
    '<circle r="12.500" fill="#4a2f1b"/><circle r="8" fill="none" stroke="#7a5230" stroke-width="2"'
    ' stroke-dasharray="1 2.6" stroke-linecap="round"/>'
    '<circle r="3.500" fill="none" stroke="#7a5230" stroke-width="2" stroke-dasharray="1 2.600"'
    ' stroke-linecap="round"/></svg>'
)
