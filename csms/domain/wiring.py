"""What is wrong with the wiring, told by what the grid meter shows when loads are switched. Pure.

Three things can be wrong at once: the direction of the meter, the order of its phases, and which relay drives
which load. All steps together decide: the explanation that needs the fewest faults wins (docs/adr/0014).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

Phases3 = tuple[float, float, float]
Order = tuple[int, int, int]
"""Order[i]: on which of the meter's phases (0, 1, 2) the site's phase i shows."""

Status = Literal["ok", "note", "inconclusive", "warning", "fault"]
NAMES = ("L1", "L2", "L3")
AS_DESCRIBED: Order = (0, 1, 2)

_AGREE_W, _AGREE_SHARE = 60.0, 0.2
_MATCH_W, _MATCH_SHARE = 80.0, 0.25
_NOTHING_SHARE = 0.3
_OTHER_ORDER, _OTHER_LOAD, _OTHER_PHASES, _OTHER_SIZE = 0.8, 1.0, 1.5, 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """subject: "meter grid", "relay io1/2"; check: what was looked at; advice: what to do, if anything."""

    subject: str
    check: str
    status: Status
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class SwitchedLoad:
    """expected_w: what it takes on the site's phases by the description."""

    id: str
    name: str
    relays: tuple[str, ...]
    expected_w: Phases3
    meter: str | None = None

    @property
    def power_w(self) -> float:
        return sum(self.expected_w)

    @property
    def contact(self) -> str:
        return " and ".join(self.relays)


@dataclass(frozen=True, slots=True)
class Step:
    """What changed when the load was closed. phases_w: None if not told. meters_w: totals of all meters."""

    load: SwitchedLoad
    total_w: float
    phases_w: Phases3 | None
    meters_w: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the meters. phases_w may be absent."""

    total_w: float
    phases_w: Phases3 | None
    meters_w: Mapping[str, float]


def change(before: Sample, on: Sample, after: Sample) -> Sample:
    """What closing did, a slow drift of house and sun taken out."""
    phases_w = None
    if before.phases_w and on.phases_w and after.phases_w:
        l1, l2, l3 = (
            x - (b + a) / 2 for b, x, a in zip(before.phases_w, on.phases_w, after.phases_w, strict=True)
        )
        phases_w = (l1, l2, l3)
    common = before.meters_w.keys() & on.meters_w.keys() & after.meters_w.keys()
    return Sample(
        on.total_w - (before.total_w + after.total_w) / 2,
        phases_w,
        {m: on.meters_w[m] - (before.meters_w[m] + after.meters_w[m]) / 2 for m in common},
    )


def mean(samples: Sequence[Sample]) -> Sample:
    """Raises ValueError when there are none."""
    if not samples:
        raise ValueError("at least one sample expected")
    count = len(samples)
    triples = [s.phases_w for s in samples if s.phases_w is not None]
    phases_w = None
    if len(triples) == count:
        l1, l2, l3 = (sum(t[i] for t in triples) / count for i in range(3))
        phases_w = (l1, l2, l3)
    common = set.intersection(*(set(s.meters_w) for s in samples))
    return Sample(
        sum(s.total_w for s in samples) / count,
        phases_w,
        {m: sum(s.meters_w[m] for s in samples) / count for m in common},
    )


def agreed(load: SwitchedLoad, changes: Sequence[Sample]) -> Step | None:
    """The step that most repetitions agree on, at least two; None: the house moves too much to tell."""
    tolerance_w = max(_AGREE_W, _AGREE_SHARE * load.power_w)
    best: list[Sample] = []
    for candidate in changes:
        near = [c for c in changes if _distance_w(c, candidate) <= tolerance_w]
        if len(near) > len(best):
            best = near
    if len(best) < 2 or 2 * len(best) <= len(changes):
        return None
    middle = mean(best)
    return Step(load, middle.total_w, middle.phases_w, middle.meters_w)


def _distance_w(a: Sample, b: Sample) -> float:
    if a.phases_w is not None and b.phases_w is not None:
        return max(abs(x - y) for x, y in zip(a.phases_w, b.phases_w, strict=True))
    return abs(a.total_w - b.total_w)


def diagnose(
    steps: Sequence[Step], grid_meter: str, inverted: bool, unclear: Sequence[SwitchedLoad] = ()
) -> list[Finding]:
    """Direction and phases of the grid meter, then each load. unclear: those without an agreed step.

    inverted: whether the site file already inverts the grid meter.
    """
    findings = [
        Finding(
            f"relay {load.contact}",
            "load",
            "inconclusive",
            f"{load.name}: the house's own load moved too much to see {load.power_w:.0f} W",
            "Repeat the check at a quiet time, with large consumers off",
        )
        for load in unclear
    ]
    drawing = [s for s in steps if abs(s.total_w) >= _NOTHING_SHARE * s.load.power_w]
    findings += [_nothing_drawn(s.load) for s in steps if s not in drawing]
    if not drawing:
        text = "no load drew anything that could be seen"
        return [Finding(f"meter {grid_meter}", "direction", "inconclusive", text), *findings]
    reversed_ = sum(s.total_w for s in drawing) < 0
    findings.append(_direction(grid_meter, reversed_, inverted, drawing))
    upright = [_turned(s) if reversed_ else s for s in drawing]
    order, alternative = _best_order(upright)
    if any(s.phases_w is not None for s in upright):
        findings.append(_phases(grid_meter, order, alternative, upright))
    loads = [s.load for s in steps] + list(unclear)
    findings += [_load(step, order, loads) for step in upright]
    for step in upright:
        findings += _sub_meters(step)
    return findings


def _turned(step: Step) -> Step:
    phases_w = step.phases_w
    turned = (-phases_w[0], -phases_w[1], -phases_w[2]) if phases_w else None
    return Step(step.load, -step.total_w, turned, step.meters_w)


def _nothing_drawn(load: SwitchedLoad) -> Finding:
    return Finding(
        f"relay {load.contact}",
        "load",
        "inconclusive",
        f"{load.name}: closed, but nothing was drawn",
        "Is it hot, switched off by hand, or its fuse out? Else the relay drives nothing that the meter sees",
    )


def _direction(meter: str, reversed_: bool, inverted: bool, steps: Sequence[Step]) -> Finding:
    shown_w = sum(s.total_w for s in steps)
    said = f"{len(steps)} loads of {sum(s.load.power_w for s in steps):.0f} W together"
    if not reversed_:
        return Finding(f"meter {meter}", "direction", "ok", f"{said} show as {shown_w:+.0f} W of draw")
    setting = "take `invert` out of" if inverted else "set `invert = true` at"
    return Finding(
        f"meter {meter}",
        "direction",
        "fault",
        f"the direction is reversed: {said} show as {shown_w:+.0f} W, as if the house delivered them",
        f"Turn the current transformers round, or {setting} this meter",
    )


# --- which explanation needs the fewest faults ---


def _best_order(steps: Sequence[Step]) -> tuple[Order, Order | None]:
    """The order of phases that explains most, and another that explains as much."""
    known = [s for s in steps if s.phases_w is not None]
    if not known:
        return AS_DESCRIBED, None
    loads = [s.load for s in known]
    costs = {order: _cost(order, known, loads) for order in _orders(known)}
    best = min(costs, key=lambda order: (round(costs[order], 6), order != AS_DESCRIBED))
    near = [o for o in costs if o != best and costs[o] - costs[best] < 0.5]
    return best, near[0] if near and best != AS_DESCRIBED else None


def _orders(steps: Sequence[Step]) -> Iterator[Order]:
    """Another order than described needs two steps that it explains and the description does not."""
    yield AS_DESCRIBED
    loads = [s.load for s in steps]
    unexplained = [s for s in steps if not _is_any(s, loads, AS_DESCRIBED)]
    for first, second, third in permutations(range(3)):
        order = (first, second, third)
        told = [s for s in unexplained if _is_any(s, loads, order)]
        if len({s.load.expected_w for s in told}) >= 2:
            yield order


def _cost(order: Order, steps: Sequence[Step], loads: Sequence[SwitchedLoad]) -> float:
    cost = 0.0 if order == AS_DESCRIBED else _OTHER_ORDER
    for step in steps:
        if _is(step, step.load, order):
            continue
        if _other_load(step, order, loads) is not None:
            cost += _OTHER_LOAD
        else:
            cost += _OTHER_PHASES if _has_size(step, step.load) else _OTHER_SIZE
    return cost


def _is_any(step: Step, loads: Sequence[SwitchedLoad], order: Order) -> bool:
    return any(_is(step, load, order) for load in loads)


def _is(step: Step, load: SwitchedLoad, order: Order) -> bool:
    """Whether the step is what this load takes, its phases seen in this order."""
    if step.phases_w is None:
        return _has_size(step, load)
    tolerance_w = max(_MATCH_W, _MATCH_SHARE * load.power_w)
    seen_w = _in_site_order(step.phases_w, order)
    return all(abs(s - e) <= tolerance_w for s, e in zip(seen_w, load.expected_w, strict=True))


def _in_site_order(phases_w: Phases3, order: Order) -> Phases3:
    return phases_w[order[0]], phases_w[order[1]], phases_w[order[2]]


def _has_size(step: Step, load: SwitchedLoad) -> bool:
    return abs(step.total_w - load.power_w) <= max(_MATCH_W, _MATCH_SHARE * load.power_w)


def _other_load(step: Step, order: Order, loads: Sequence[SwitchedLoad]) -> SwitchedLoad | None:
    others = [load for load in loads if load.relays != step.load.relays and _is(step, load, order)]
    return min(others, key=lambda load: abs(load.power_w - step.total_w), default=None)


# --- in words ---


def _phases(meter: str, order: Order, alternative: Order | None, steps: Sequence[Step]) -> Finding:
    subject = f"meter {meter}"
    if order == AS_DESCRIBED:
        if len({s.load.expected_w for s in steps if _is(s, s.load, order)}) < 2:
            text = "too few loads on different phases to tell the order of the phases"
            return Finding(subject, "phases", "inconclusive", text)
        return Finding(subject, "phases", "ok", "loads show on the phases of the site file")
    moved = ", ".join(f"{NAMES[i]} shows as {NAMES[order[i]]}" for i in range(3) if order[i] != i)
    kind = "rotated" if all(order[i] != i for i in range(3)) else "exchanged"
    other = " (other explanations are possible: too few loads tell)" if alternative else ""
    return Finding(
        subject,
        "phases",
        "fault",
        f"the phases are {kind}: {moved}{other}",
        "Connect voltage and current transformer of each phase as the site file has it, or name the phases "
        "of all loads and stations in the file as they are at the meter",
    )


def _load(step: Step, order: Order, loads: Sequence[SwitchedLoad]) -> Finding:
    load, subject = step.load, f"relay {step.load.contact}"
    seen = _in_words(step, order)
    if _is(step, load, order):
        return Finding(subject, "load", "ok", f"switches {load.name}: {seen}")
    other = _other_load(step, order, loads)
    if other is not None:
        return Finding(
            subject,
            "load",
            "fault",
            f"switches {other.name} ({seen}) instead of {load.name} ({_described(load)})",
            f"Exchange the wires at the contacts, or write {load.contact} at {other.name} in the site file",
        )
    if _has_size(step, load):
        return Finding(
            subject,
            "load",
            "fault",
            f"{load.name} takes {seen}, but is described with {_described(load)}",
            "Move the load to the phase of the site file, or correct `phases` there",
        )
    return Finding(
        subject,
        "load",
        "warning",
        f"{load.name} takes {seen}, but is described with {_described(load)}",
        "Correct its power in the site file. Is part of it switched off, or is this another load?",
    )


def _in_words(step: Step, order: Order) -> str:
    if step.phases_w is None:
        return f"{step.total_w:.0f} W"
    return _power(_in_site_order(step.phases_w, order), max(_MATCH_W, 0.1 * abs(step.total_w)))


def _described(load: SwitchedLoad) -> str:
    return _power(load.expected_w, 1.0)


def _power(phases_w: Phases3, least_w: float) -> str:
    on = [name for name, w in zip(NAMES, phases_w, strict=True) if abs(w) >= least_w]
    return f"{sum(phases_w):.0f} W on {', '.join(on) or 'no phase'}"


def _sub_meters(step: Step) -> Iterator[Finding]:
    """The load's own meter must show the load, and in the right direction."""
    meter, load = step.load.meter, step.load
    if meter is None or meter not in step.meters_w:
        return
    shown_w, drawn_w = step.meters_w[meter], step.total_w
    subject = f"meter {meter}"
    tolerance_w = max(_MATCH_W, _MATCH_SHARE * abs(drawn_w))
    if abs(shown_w - drawn_w) <= tolerance_w:
        yield Finding(subject, "own load", "ok", f"shows {load.name}: {shown_w:.0f} W")
    elif abs(shown_w + drawn_w) <= tolerance_w:
        text = f"the direction is reversed: {load.name} shows as {shown_w:+.0f} W"
        yield Finding(subject, "own load", "fault", text, "Turn it round, or change `invert` at this meter")
    else:
        text = f"does not measure {load.name}: it shows {shown_w:+.0f} W of {drawn_w:.0f} W"
        advice = "Look which load this meter is connected to, or name another meter at the appliance"
        yield Finding(subject, "own load", "fault", text, advice)
