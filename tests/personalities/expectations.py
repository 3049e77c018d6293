"""What each character must come to, and what it comes to today where that is less.

`today` is a record, not a wish: a character that does better fails its test until the record is taken away.
"""

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


@dataclass(frozen=True, slots=True)
class Expected:
    must: Outcome = Outcome()
    today: Outcome | None = None


GOOD = Expected()
UNCONTROLLED = Outcome(follows=False)

DEVIATING = {
    # It says Accepted and goes on; where its fuse cannot carry that, its session is stopped.
    "Heidelberg connect.business": Expected(UNCONTROLLED),
    # It draws 6 A while it should pause; until that is known of it, some minutes go by.
    "EVBox Elvi": Expected(Outcome(follows=False)),
    # Only unplugging wakes it: its driver is asked for a hand.
    "wakes by hand only": Expected(Outcome(energy=False)),
    # Without a transaction nothing is recorded.
    "Free charging": Expected(Outcome(recorded=False)),
}


def expected(name: str) -> Expected:
    return DEVIATING.get(name, GOOD)
