"""What is known of makes of stations before they are asked: questions and settings that do them harm.

A make is recognised by what its BootNotification says of vendor and model. Whatever can be told by asking
belongs to the configuration that was read, not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class LimitHints:
    """How a make takes limits. refuses: purposes of charging profiles that are not worth trying. kinds: the
    likelier first. only_level_0: it announces stack levels that it refuses. max_writes_per_day: what its
    memory bears. write_pause_s: it refuses profiles that come faster. pauses: False = it takes a limit of 0
    for the end of the transaction."""

    refuses: frozenset[str] = frozenset()
    kinds: tuple[Literal["Absolute", "Relative"], ...] = ("Absolute", "Relative")
    only_level_0: bool = False
    max_writes_per_day: int | None = None
    write_pause_s: float = 10.0
    pauses: bool = True


@dataclass(frozen=True, slots=True)
class Make:
    """may_ask_all: may be asked for its whole configuration. measurands: the only ones it may be given to
    sample; None = any. most_measurands: how many it takes at once, if its configuration does not tell.
    never_wake_by: what would not wake a vehicle there but leave it without a session. stays_finishing: after
    a session it is free again by a restart only."""

    may_ask_all: bool = True
    measurands: frozenset[str] | None = None
    most_measurands: int | None = None
    limits: LimitHints = LimitHints()
    never_wake_by: frozenset[str] = frozenset()
    stays_finishing: bool = False


ANY = Make()
_ALL_BUT_DEFAULT = frozenset({"TxProfile", "ChargePointMaxProfile"})
_NO_CAP = frozenset({"ChargePointMaxProfile"})
# What stops the session: these begin no other until the cable was out. Source: evcc issues 12861, 14348.
_STOPS = frozenset({"restart", "availability", "reset"})
_NO_AVAILABILITY = frozenset({"availability"})
_NO_OFFER_NO_SOC = frozenset(
    {"Current.Import", "Energy.Active.Import.Register", "Power.Active.Import", "Voltage"}
)
_NO_OFFER = _NO_OFFER_NO_SOC | {"SoC"}
_WALLBOX = Make(measurands=_NO_OFFER, limits=LimitHints(only_level_0=True), never_wake_by=_STOPS)

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
            limits=LimitHints(only_level_0=True),
        ),
    ),
    # EVC04 and its relatives sample four at most. Source: evcc issue 15726.
    ("vestel", "evc04", Make(most_measurands=4)),
    # About 25 schedules a day; a Relative profile is refused. Source: developer.easee.com.
    (
        "easee",
        "",
        Make(limits=LimitHints(kinds=("Absolute",), max_writes_per_day=25)),
    ),
    # Firmware 5 takes stack level 0 only, 6 takes Relative only; Current.Offered is stale. Source: evcc issue
    # 15581 and its template.
    ("wall box", "", _WALLBOX),
    ("wallbox", "", _WALLBOX),
    # One TxDefaultProfile; refuses writes that come too fast. Source: myenergi's documentation.
    ("myenergi", "", Make(limits=LimitHints(refuses=_ALL_BUT_DEFAULT, write_pause_s=60.0))),
    ("timxon", "", Make(limits=LimitHints(refuses=_ALL_BUT_DEFAULT))),  # lbbrhzn/ocpp issue 2158
    # FusionCharge: 0 W ends the transaction, and no other begins until the cable was out. Source: evcc issue
    # 29272.
    ("huawei", "", Make(limits=LimitHints(pauses=False), never_wake_by=_STOPS)),
    # ChargePointMaxProfile refused or ignored. Source: lbbrhzn/ocpp issues 221, 1703, 2158.
    ("evbox", "", Make(measurands=_NO_OFFER_NO_SOC, limits=LimitHints(refuses=_NO_CAP))),
    ("ev-box", "", Make(measurands=_NO_OFFER_NO_SOC, limits=LimitHints(refuses=_NO_CAP))),
    ("united chargers", "", Make(limits=LimitHints(refuses=_NO_CAP))),  # Grizzl-E
    ("amperfied", "", Make(measurands=_NO_OFFER)),  # Current.Offered is stale; evcc issue 17836
    ("heidelberg", "", Make(measurands=_NO_OFFER)),
    ("zj beny", "", Make(never_wake_by=_STOPS)),
    ("beny", "", Make(never_wake_by=_STOPS)),
    ("ocular", "", Make(never_wake_by=_STOPS)),
    # Stays in Finishing after a session until it is reset. Source: lbbrhzn/ocpp issue 1565.
    ("autel", "", Make(never_wake_by=frozenset({"restart", "availability"}), stays_finishing=True)),
    # ChangeAvailability is not implemented, or does harm. Source: evcc's template, go-e's description.
    ("go-e", "", Make(never_wake_by=_NO_AVAILABILITY)),
    ("en+", "", Make(never_wake_by=_NO_AVAILABILITY)),
    ("en-plus", "", Make(never_wake_by=_NO_AVAILABILITY)),
]


def make_of(vendor: str | None, model: str | None) -> Make:
    said_vendor, said_model = (vendor or "").strip().casefold(), (model or "").strip().casefold()
    for of_vendor, of_model, make in _MAKES:
        if said_vendor.startswith(of_vendor) and said_model.startswith(of_model):
            return make
    return ANY
