"""How many phases a vehicle uses, where no current of each phase tells: by its power, or by its badge.

A guess only turns amperes into watts. Fuses reckon with all phases that are wired until currents show fewer.
"""

from __future__ import annotations

from optimizer.model import Connector, ConnectorDemand, ConnectorMemory
from optimizer.phase_switching import can_switch, phases_in_use

LEAST_A = 5.0
"""On each phase it uses: below 6 A no vehicle charges, and meters err. One that is nearly full takes less."""

MORE_THAN_OFFERED_A = 1.0
CLEAR_W = 1000.0


def guess_by_power(connector: Connector, demand: ConnectorDemand, voltage_v: float) -> int | None:
    """The only number of phases that explains this power at what is offered; None if several do, or none."""
    power_w, offered_a = demand.power_w, demand.offered_a
    if power_w is None or offered_a is None or power_w < CLEAR_W or demand.current_a is not None:
        return None
    most_a = offered_a + MORE_THAN_OFFERED_A
    numbers = range(1, len(connector.phases) + 1)
    fitting = [n for n in numbers if LEAST_A <= power_w / (voltage_v * n) <= most_a]
    return fitting[0] if len(fitting) == 1 else None


def counted_phases(connector: Connector, memory: ConnectorMemory | None) -> tuple[int, ...]:
    """Those that carry what its vehicle takes, as far as anybody knows."""
    phases = phases_in_use(connector, memory)
    if memory is None or memory.phases is not None or memory.phase_guess is None or can_switch(connector):
        return phases
    return phases[: memory.phase_guess]
