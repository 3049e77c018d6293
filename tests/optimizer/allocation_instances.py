"""Random but plausible sites for the optimizer's tests and benchmarks."""

from __future__ import annotations

from random import Random

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
