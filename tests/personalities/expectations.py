"""What each character must come to. Whatever is less than the best is so by its nature."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """follows: no more is offered than was decided. energy: the vehicle gets what it needs. fuse: the
    garage's fuse is held. recorded: the server's energy is what flowed. free: the connector is free again
    once the cable was out."""

    follows: bool = True
    energy: bool = True
    fuse: bool = True
    recorded: bool = True
    free: bool = True


DEVIATING = {
    # It says Accepted and goes on; where its fuse cannot carry that, its session is stopped.
    "Heidelberg connect.business": Outcome(follows=False),
    # It draws 6 A while it should pause; until that is known of it, some minutes go by.
    "EVBox Elvi": Outcome(follows=False),
    # Only unplugging wakes it: its driver is asked for a hand.
    "wakes by hand only": Outcome(energy=False),
    # Without a transaction nothing is recorded.
    "Free charging": Outcome(recorded=False),
}


def expected(name: str) -> Outcome:
    return DEVIATING.get(name, Outcome())
