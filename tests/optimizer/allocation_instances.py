"""Random but plausible sites for the optimizer's tests and benchmarks."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from optimizer.model import PhaseTriple
from optimizer.problem import AllocationProblem, CircuitHeadroom, ModulatedLoad, Option, SwitchedLoad

RELAY_POWERS_W = (350, 500, 600, 750, 800, 1000, 1200, 1500, 1800, 2000, 2400, 2500, 3000)
VOLTAGE_V = 230.0


def relay(
    rng: Random, id: str, circuit: str, power_w: float | None = None, three_phase: bool | None = None
) -> SwitchedLoad:
    power_w = rng.choice(RELAY_POWERS_W) if power_w is None else power_w
    if rng.random() < 0.2 if three_phase is None else three_phase:
        amps = round(power_w / 3 / VOLTAGE_V, 2)
        current_a = (amps, amps, amps)
    else:
        phase, amps = rng.randrange(3), round(power_w / VOLTAGE_V, 2)
        current_a = tuple(amps if p == phase else 0.0 for p in range(3))  # type: ignore[assignment]
    off_cost, on_cost = (150.0, 0.0) if rng.random() < 0.3 else (0.0, 150.0)
    options = (Option("off", 0.0, (0.0, 0.0, 0.0), off_cost), Option("on", power_w, current_a, on_cost))
    return SwitchedLoad(id, circuit, options)


def heater_without_neutral(rng: Random, id: str, circuit: str) -> SwitchedLoad:
    rated = rng.choice((2000.0, 3000.0, 4500.0))
    full, half = round(rated / 690, 2), round(rated / 690 * 0.8660254, 2)
    states = (
        ("off", 0.0, (0.0, 0.0, 0.0)),
        ("12", rated / 2, (half, half, 0.0)),
        ("13", rated / 2, (half, 0.0, half)),
    )
    states += (("both", rated, (full, full, full)),)
    now = rng.randrange(4)
    return SwitchedLoad(
        id, circuit, tuple(Option(n, p, a, 0.0 if k == now else 150.0) for k, (n, p, a) in enumerate(states))
    )


def station(rng: Random, id: str, circuit: str, three_phase: bool | None = None) -> ModulatedLoad:
    wide = rng.random() < 0.5 if three_phase is None else three_phase
    phases = (0, 1, 2) if wide else (rng.randrange(3),)
    costs = rng.choice(((1000.0, 0.0), (0.0, 1000.0), (1000.0, 0.0), (0.0, None)))
    max_a = rng.choice((16.0, 16.0, 32.0))
    return ModulatedLoad(id, circuit, rng.choice((6.0, 6.0, 8.0)), max_a, 1.0, phases, VOLTAGE_V, *costs)


def two_zones(
    rng: Random, relays: int, stations: int, available_w: float, zone_a: float = 63.0
) -> AllocationProblem:
    """Stations in two zones, relays anywhere; main fuse and zones of zone_a on each phase."""
    circuits = (
        CircuitHeadroom("main", None, (2 * zone_a, 2 * zone_a, 2 * zone_a)),
        CircuitHeadroom("a", "main", (zone_a, zone_a, zone_a)),
        CircuitHeadroom("b", "main", (zone_a, zone_a, zone_a)),
    )
    loads = [relay(rng, f"r{i}", rng.choice(("main", "a", "b"))) for i in range(relays)]
    cars = [station(rng, f"cp{i}/1", rng.choice("ab")) for i in range(stations)]
    forced = sum(load.off_cost_w is None for load in cars)
    keep = min(forced, int(zone_a // 16))
    trimmed = []
    for car in cars:
        if car.off_cost_w is None and keep <= 0:
            car = ModulatedLoad(
                *(
                    getattr(car, n)
                    for n in ("id", "circuit", "min_a", "max_a", "step_a", "phases", "voltage_v")
                ),
                0.0,
                1000.0,
            )
        elif car.off_cost_w is None:
            keep -= 1
        trimmed.append(car)
    return AllocationProblem(available_w, 20.0, circuits, (*loads, *trimmed))


def zones(rng: Random, count: int, relays: int, stations: int, available_w: float) -> AllocationProblem:
    """Zones side by side, each with relays and stations of its own, behind a main fuse that may bind, too."""
    main = CircuitHeadroom("main", None, (20.0 * count,) * 3)
    circuits = [CircuitHeadroom(f"z{z}", "main", (25.0, 25.0, 25.0)) for z in range(count)]
    loads: list[SwitchedLoad | ModulatedLoad] = []
    for zone in circuits:
        loads += [relay(rng, f"{zone.id}.r{i}", zone.id) for i in range(relays)]
        cars = [station(rng, f"{zone.id}.cp{i}/1", zone.id) for i in range(stations)]
        loads += [replace(car, off_cost_w=0.0) if car.off_cost_w is None else car for car in cars]
    return AllocationProblem(available_w, 20.0, (main, *circuits), tuple(loads))


def everyday(rng: Random) -> AllocationProblem:
    """A house or small workplace on one of its minutes; its fuses rarely bind."""
    circuits = (CircuitHeadroom("main", None, (100.0,) * 3), CircuitHeadroom("garage", "main", (80.0,) * 3))
    loads = [relay(rng, f"r{i}", "main") for i in range(rng.randrange(5))]
    cars = [station(rng, f"cp{i}/1", "garage", False) for i in range(rng.randrange(1, 9))]
    return AllocationProblem(round(rng.uniform(-2000, 20_000), 1), 20.0, circuits, (*loads, *cars))


def repeated(count: int, available_w: float) -> AllocationProblem:
    """Many loads of one kind: half of them three-phase stations, half relays on L1."""
    zone = CircuitHeadroom("zone", None, (63.0, 63.0, 63.0))
    options = (Option("off", 0.0, (0.0, 0.0, 0.0)), Option("on", 1000.0, (4.35, 0.0, 0.0), 150.0))
    relays = [SwitchedLoad(f"r{i}", "zone", options) for i in range(count)]
    cars = [
        ModulatedLoad(f"cp{i}/1", "zone", 6, 16, 1, (0, 1, 2), VOLTAGE_V, 1000.0, 0.0) for i in range(count)
    ]
    return AllocationProblem(available_w, 20.0, (zone,), (*relays, *cars))


def anything(rng: Random) -> AllocationProblem:
    """A problem of up to a dozen loads that may use every feature of the contract, also the unlikely ones."""
    tree = (("main", None), ("zone", "main"), ("leaf", "zone"), ("other", "main"))[: rng.randrange(1, 5)]
    most_a = rng.choice((6.0, 10.0, 16.0, 25.0, 63.0, 200.0))
    circuits = tuple(CircuitHeadroom(id, above, _headroom(rng, most_a)) for id, above in tree)
    loads: list[SwitchedLoad | ModulatedLoad] = []
    for n in range(rng.randrange(1, 13)):
        circuit = rng.choice(circuits).id
        make = rng.choice((_any_relay, _any_steps, _any_station, _any_station, heater_without_neutral))
        loads.append(make(rng, f"l{n}", circuit))
        if rng.random() < 0.15:
            loads += [replace(loads[-1], id=f"l{n}.{k}") for k in range(rng.randrange(1, 4))]
    watts = sum(max(o.power_w for o in x.options) for x in loads if isinstance(x, SwitchedLoad))
    watts += sum(x.max_a * x.voltage_v * len(x.phases) for x in loads if isinstance(x, ModulatedLoad))
    available_w = round(rng.uniform(-0.2, 1.1) * watts, rng.choice((-2, 0, 1, 3)))
    penalty = rng.choice((20.0, 20.0, 0.0, 0.3, 1.0, 3.7, 250.0, 1e4))
    rng.shuffle(loads)
    return AllocationProblem(available_w, penalty, circuits, tuple(loads))


def _headroom(rng: Random, most_a: float) -> PhaseTriple:
    """Seldom a phase is overloaded already."""
    l1, l2, l3 = (
        round(rng.uniform(-3.0, 3.0) if rng.random() < 0.02 else rng.uniform(0.3, 1.0) * most_a, 2)
        for _ in range(3)
    )
    return (l1, l2, l3)


def _any_cost(rng: Random) -> float:
    return rng.choice((0.0, 0.0, 150.0, 1000.0, round(rng.uniform(-50, 400), 1)))


def _any_relay(rng: Random, id: str, circuit: str) -> SwitchedLoad:
    if rng.random() < 0.6:
        made = relay(rng, id, circuit)
    else:
        made = relay(rng, id, circuit, round(rng.uniform(100, 4000), rng.choice((0, 1, 3))))
    return replace(made, options=(rng.choice(made.options),)) if rng.random() < 0.1 else made


def _any_steps(rng: Random, id: str, circuit: str) -> SwitchedLoad:
    """An appliance of several steps, SG-Ready states, or options of any power, 0 W or even producing."""
    kind = rng.randrange(3)
    if kind == 0:
        watts = rng.choice((500.0, 1000.0, 2000.0))
        powers = [k * watts for k in range(rng.randrange(2, 5))]
        currents = [
            tuple(round(watts / VOLTAGE_V, 2) * (p < k) for p in range(3)) for k in range(len(powers))
        ]
    elif kind == 1:
        powers = [0.0, 700.0, 1400.0, 2800.0]
        currents = [(round(p / 690, 3),) * 3 for p in powers]
    else:
        powers = [round(rng.choice((0.0, rng.uniform(-300, 3000))), 1) for _ in range(rng.randrange(1, 5))]
        currents = [tuple(round(rng.uniform(-0.5, 8.0), 2) for _ in range(3)) for _ in powers]
    return SwitchedLoad(
        id,
        circuit,
        tuple(
            Option(f"o{k}", power, current, _any_cost(rng))  # type: ignore[arg-type]
            for k, (power, current) in enumerate(zip(powers, currents, strict=True))
        ),
    )


def _any_station(rng: Random, id: str, circuit: str) -> ModulatedLoad:
    if rng.random() < 0.4:
        return station(rng, id, circuit)
    phases = rng.choice(((0,), (1,), (2,), (0, 1), (2, 0), (1, 2), (0, 1, 2)))
    min_a = rng.choice((0.0, 0.5, 1.4, 6.0, 6.0, 7.5, 8.0, 10.0))
    step_a = rng.choice((0.1, 0.25, 0.3, 1.0, 1.0, 2.0, 4.5))
    max_a = round(min_a + rng.choice((0.0, 1.0, 3.7, 7.0, 10.0)), 1)
    off_cost = _any_cost(rng) if rng.random() < 0.8 or (min_a == 0 and max_a < step_a) else None
    volts = rng.choice((230.0, 230.0, 231.7, 119.9, 400 / 3**0.5))
    return ModulatedLoad(id, circuit, min_a, max_a, step_a, phases, round(volts, 3), _any_cost(rng), off_cost)
