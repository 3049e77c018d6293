"""What is known of makes of stations before they are asked: questions and settings that do them harm.

A make is recognised by what its BootNotification says of vendor and model. Whatever can be told by asking
belongs to the configuration that was read, not here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Make:
    """may_ask_all: may be asked for its whole configuration. measurands: the only ones it may be given to
    sample; None = any. most_measurands: how many it takes at once, if its configuration does not tell."""

    may_ask_all: bool = True
    measurands: frozenset[str] | None = None
    most_measurands: int | None = None


ANY = Make()

# (how the vendor begins, how the model begins) in lower case. The first that fits counts.
_MAKES: list[tuple[str, str, Make]] = [
    # Terra AC, firmware up to 1.8.21: restarts without end after measurands that it does not know; some also
    # after a request for all keys. Source: evcc issues 9766, 15493, 28868; lbbrhzn/ocpp issues 1275, 1737;
    # mobilityhouse/ocpp issue 372.
    (
        "abb",
        "",
        Make(
            may_ask_all=False,
            measurands=frozenset(
                {
                    "Current.Import",
                    "Current.Offered",
                    "Energy.Active.Import.Register",
                    "Power.Active.Import",
                    "Voltage",
                }
            ),
        ),
    ),
    # EVC04 and its relatives sample four at most. Source: evcc issue 15726.
    ("vestel", "evc04", Make(most_measurands=4)),
]


def make_of(vendor: str | None, model: str | None) -> Make:
    said_vendor, said_model = (vendor or "").strip().casefold(), (model or "").strip().casefold()
    for of_vendor, of_model, make in _MAKES:
        if said_vendor.startswith(of_vendor) and said_model.startswith(of_model):
            return make
    return ANY
