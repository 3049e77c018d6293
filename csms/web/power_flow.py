"""Live power flow: a sunflower, the grid, the house and the loads, with flows as strong as the power."""

from __future__ import annotations

from dataclasses import dataclass

from csms.domain.snapshot import SiteSnapshot
from csms.web.elements import ICONS, Tag, petals
from csms.web.wording import kilowatts

FLOWING_W = 20.0  # below this a flow is drawn as still
SCALE_FLOOR_W = 2000.0  # a night's 200 W must not look like noon
SPEEDS = ((0.08, "slow"), (0.3, "easy"), (0.65, "brisk"), (9.0, "fast"))


@dataclass(frozen=True, slots=True)
class Flow:
    """power_w: + towards the hub for sources, as drawn in `path`. share: of the site's strongest flow."""

    power_w: float | None
    share: float

    @property
    def moving(self) -> bool:
        return self.power_w is not None and abs(self.power_w) >= FLOWING_W

    @property
    def width(self) -> float:
        return round(2.5 + 6.5 * self.share**0.6, 1) if self.moving else 0.0

    @property
    def speed(self) -> str:
        return next(word for limit, word in SPEEDS if self.share <= limit)


def flows(snapshot: SiteSnapshot) -> dict[str, Flow]:
    """Signed along each drawn path: sun → hub, grid → hub, hub → house, hub → loads, hub → battery."""
    powers = {
        "sun": None if snapshot.pv_w is None else max(-snapshot.pv_w, 0.0),
        "grid": snapshot.grid_w,
        "house": snapshot.house_w,
        "loads": snapshot.controlled_w,
        "battery": snapshot.battery_w,
    }
    strongest = max([SCALE_FLOOR_W, *(abs(p) for p in powers.values() if p is not None)])
    return {name: Flow(p, abs(p or 0.0) / strongest) for name, p in powers.items()}


PATHS = {
    "sun": "M200 150V206",
    "grid": "M112 226H160C186 226 200 226 200 226",
    "house": "M200 226V276",
    "loads": "M200 226H288",
    "battery": "M200 226C150 232 128 270 108 322",
}
NODES = {"grid": (66, 226), "house": (200, 322), "loads": (334, 226), "battery": (76, 356)}
LABELS = {"grid": "Grid", "house": "House", "loads": "Loads", "battery": "Battery"}
NODE_ICONS = {"grid": "grid", "house": "house", "loads": "plug", "battery": "battery"}
PETAL_FULL_SHARE = 0.7


class PowerFlow:
    def __init__(self, with_battery: bool) -> None:
        names = [n for n in NODES if with_battery or n != "battery"]
        self._streams: dict[str, Tag] = {}
        self._values: dict[str, Tag] = {}
        self._captions: dict[str, Tag] = {}
        self._nodes: dict[str, Tag] = {}
        self._drawing = Tag(
            "svg", classes="flow", viewBox=f"0 10 400 {416 if with_battery else 382}", role="img"
        )
        with self._drawing:
            for name in ["sun", *names]:
                Tag("path", classes="track", d=PATHS[name])
                self._streams[name] = Tag("path", classes=f"stream stream-{name}", d=PATHS[name])
            Tag("circle", classes="hub", cx=200, cy=226, r=7)
            self._build_sun()
            for name in names:
                self._build_node(name)

    def _build_sun(self) -> None:
        with Tag("g", transform="translate(200 90)"):
            self._petals = Tag("g", classes="petals")
            with self._petals:
                Tag("path", classes="petals-back", d=petals(17, 30, 72, 11, 0.5))
                Tag("path", classes="petals-front", d=petals(17, 30, 66, 9.5))
            Tag("circle", classes="disc-rim", r=42)
            Tag("circle", classes="disc", r=38)
            Tag("circle", classes="seeds", r=33.5)
            self._values["sun"] = Tag("text", classes="value value-sun", y=5)
            self._values["sun"].put(data_value="sun")
            Tag("text", "kW", classes="unit unit-sun", y=20)

    def _build_node(self, name: str) -> None:
        x, y = NODES[name]
        self._nodes[name] = Tag("g", classes=f"node node-{name}", transform=f"translate({x} {y})")
        with self._nodes[name]:
            Tag("circle", classes="node-ring", r=45)
            Tag(
                "path",
                classes="node-icon",
                d=ICONS[NODE_ICONS[name]],
                transform="translate(-10 -38) scale(.83)",
            )
            self._values[name] = Tag("text", classes="value", y=9)
            self._values[name].put(data_value=name)
            Tag("text", "kW", classes="unit", y=23)
            self._captions[name] = Tag("text", LABELS[name], classes="caption", y=63)

    def show(self, snapshot: SiteSnapshot) -> None:
        shown = flows(snapshot)
        for name, flow in shown.items():
            if name not in self._streams:
                continue
            self._values[name].say(kilowatts(flow.power_w))
            stream = self._streams[name]
            stream.put(stroke_width=flow.width)
            stream.be(
                still=not flow.moving,
                back=(flow.power_w or 0) < 0,
                **{word: flow.moving and flow.speed == word for _, word in SPEEDS},
            )
            if name != "sun":
                self._nodes[name].be(quiet=not flow.moving)
        self._captions["grid"].say(_grid_caption(snapshot.grid_w))
        self._nodes["grid"].be(exporting=(snapshot.grid_w or 0) <= -FLOWING_W)
        sun = shown["sun"]
        openness = 0.78 + 0.22 * min(sun.share / PETAL_FULL_SHARE, 1.0) if sun.moving else 0.72
        self._petals.put(style=f"--open:{openness:.2f}")
        self._petals.be(asleep=not sun.moving)
        self._drawing.put(aria_label=description(snapshot))


def _grid_caption(grid_w: float | None) -> str:
    if grid_w is None:
        return "Grid unknown"
    if abs(grid_w) < FLOWING_W:
        return "Grid"
    return "From grid" if grid_w > 0 else "To grid"


def description(snapshot: SiteSnapshot) -> str:
    """The drawing in words, for screen readers."""
    return (
        f"Sun {kilowatts(snapshot.pv_w)} kW, house {kilowatts(snapshot.house_w)} kW, "
        f"loads {kilowatts(snapshot.controlled_w)} kW, "
        f"{_grid_caption(snapshot.grid_w).lower()} {kilowatts(snapshot.grid_w)} kW"
    )
