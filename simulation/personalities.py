"""Stations and vehicles of the field as characters: what each is known for, where that is told, and a model.

`stations()` and `vehicles()` are the catalogue. Sources: issue numbers are of evcc-io/evcc unless another
repository is named; "guide" and "manual" are the makers'. What a character does is composed of deviations
(`simulation.deviations`), so that a new one is a few lines here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from simulation.profile_deviations import (
    AcceptsAndIgnores,
    CannotPause,
    ForgetsLimitAfterPause,
    LowestWins,
    NoDefaultWithoutVehicle,
    NotSoFast,
    SpikesAtEachSet,
    StartsLate,
    Steps,
    WritesPerDay,
    ZeroEndsTransaction,
    any_of,
    for_nobody,
    of_kind,
    of_purpose,
    on_connector_zero,
    relative_maximum,
    stacked,
)
from simulation.report_deviations import (
    AlwaysCharging,
    AnswersLate,
    BootLoop,
    CrashesWhenAskedForAll,
    EmptyValues,
    ErrorCode,
    Kilowatts,
    LosesLink,
    OnePhaseTold,
    SessionRegister,
    StaleOffer,
    TotalsAndPhases,
    UnknownMeterStart,
)
from simulation.session_deviations import (
    FinishingNeedsReset,
    NoProfileAtRemoteStart,
    NoRestartUntilUnplugged,
    SettingAtLeast,
)
from simulation.station_configuration import split_list
from simulation.station_model import StationModel
from simulation.vehicle import VehicleModel

EVERY_PHASE = ("L1", "L2", "L3")
ABB_MEASURANDS = split_list(
    "Current.Import,Current.Offered,Energy.Active.Import.Register,Power.Active.Import,Voltage"
)


@dataclass(frozen=True, slots=True)
class VehicleCharacter:
    """does: a sentence for people. settings: what an installer sets for it at its connector, keys of the
    site file. already, until: how full it is when it arrives and how full it gets, for those of which that is
    the point. 0..1"""

    name: str
    does: str
    source: str
    model: VehicleModel
    settings: dict[str, Any] = field(default_factory=dict)
    already: float | None = None
    until: float = 1.0


@dataclass(frozen=True, slots=True)
class StationCharacter:
    """does: a sentence for people. wiring: the grid's phases on its first, second and third conductor.
    settings: as of a vehicle. visitor: who comes, where that is the point."""

    name: str
    does: str
    source: str
    model: StationModel
    wiring: tuple[str, ...] = EVERY_PHASE
    max_a: float = 32.0
    settings: dict[str, Any] = field(default_factory=dict)
    visitor: str = "three phases"


def stations() -> dict[str, StationCharacter]:
    return {c.name: c for c in (*_REFERENCE_BUILDINGS, *_MAKERS, *_HABITS)}


def vehicles() -> dict[str, VehicleCharacter]:
    return {c.name: c for c in _VEHICLES}


_REFERENCE_BUILDINGS = (
    StationCharacter(
        "ABB Terra AC",
        "rejects every stack level but 0 although it announces 3; a TxProfile must name its transaction; "
        "restarts when asked for its whole configuration, and without end on measurands that it does not "
        "know; tells the power of each phase beside the total",
        "#15493, #15533, #28868, #9766; lbbrhzn/ocpp#1275, #1737",
        StationModel(
            vendor="ABB",
            model="Terra AC W22-T-RD-M-0",
            firmware="1.8.21",
            max_stack_level=3,
            rejects=any_of(stacked, for_nobody),
            deviations=(CrashesWhenAskedForAll(), BootLoop(*ABB_MEASURANDS), TotalsAndPhases()),
        ),
    ),
    StationCharacter(
        "Wallbox",
        "takes Relative profiles only, a TxDefaultProfile only with a vehicle; offers its maximum for a "
        "moment at each write; Current.Offered is stale; does not boot unasked; starts on RemoteStart "
        "only; loses the connection every few minutes",
        "#15581, #14348, #26060, template ocpp-wallbox; lbbrhzn/ocpp#2152",
        StationModel(
            vendor="Wall Box Chargers",
            model="PLP1-0-2-4",
            firmware="6.7.38",
            rejects=any_of(of_kind("Absolute"), of_kind("Recurring")),
            starts_by="remote",
            boots_unasked=False,
            deviations=(
                NoDefaultWithoutVehicle(),
                SpikesAtEachSet(5),
                StaleOffer(),
                LosesLink(every_s=270),
            ),
        ),
    ),
    StationCharacter(
        "Wallbox, firmware 5",
        "rejects every stack level but 0; starts on RemoteStart only",
        "template ocpp-wallbox5",
        StationModel(
            vendor="Wall Box Chargers",
            model="CPB1-0-2-4",
            firmware="5.17.67",
            rejects=stacked,
            starts_by="remote",
            deviations=(StaleOffer(),),
        ),
    ),
    StationCharacter(
        "Schneider EVlink Pro AC",
        "rejects ChargePointMaxProfile and TxDefaultProfile until two local settings are switched on",
        "lbbrhzn/ocpp#877, #263",
        StationModel(
            vendor="Schneider Electric",
            model="EVlink Pro AC",
            firmware="1.3.8",
            rejects=of_purpose("ChargePointMaxProfile", "TxDefaultProfile"),
        ),
    ),
    StationCharacter(
        "Zaptec Pro",
        "samples nothing until told to (interval 0); tells a meterStart of 2147483647; reports "
        "ReaderFailure while charging is fine",
        "#29190, #29863, #27499",
        StationModel(
            vendor="Zaptec",
            model="Pro",
            firmware="7.5.4",
            configuration={"MeterValueSampleInterval": "0"},
            deviations=(UnknownMeterStart(), ErrorCode("ReaderFailure")),
        ),
    ),
)

_MAKERS = (
    StationCharacter(
        "Easee Charge",
        "takes 25 schedules a day (its flash memory wears out), TxProfile and Absolute only; starts on "
        "RemoteStart only; samples every 30 s at most",
        "developer.easee.com; template ocpp-easee",
        StationModel(
            vendor="Easee",
            model="Charge",
            firmware="328",
            max_stack_level=0,
            rejects=any_of(of_purpose("TxDefaultProfile", "ChargePointMaxProfile"), of_kind("Relative")),
            starts_by="remote",
            deviations=(WritesPerDay(25), SettingAtLeast("MeterValueSampleInterval", 30)),
        ),
    ),
    StationCharacter(
        "Huawei FusionCharge",
        "understands watts only; a limit of 0 W ends the transaction, then it is stuck in Preparing until "
        "unplugged",
        "#29272",
        StationModel(
            vendor="Huawei",
            model="FusionCharge AC",
            rate_units=("Power",),
            deviations=(ZeroEndsTransaction(),),
        ),
    ),
    StationCharacter(
        "go-e",
        "understands amperes only; knows neither ChangeAvailability nor GetCompositeSchedule; refuses a "
        "profile at RemoteStart; once ignores the limit that follows a pause",
        "goecharger/go-eCharger-API-v2 ocpp-en.md, #105, #154, #155",
        StationModel(
            vendor="go-e",
            model="go-eCharger",
            rate_units=("Current",),
            lacks=frozenset({"ChangeAvailability", "GetCompositeSchedule"}),
            deviations=(NoProfileAtRemoteStart(), ForgetsLimitAfterPause()),
        ),
    ),
    StationCharacter(
        "ZJ Beny",
        "after the end of a transaction it begins no other until the cable is pulled",
        "#12861",
        StationModel(vendor="ZJBENY", model="BCP-AT2N-P", deviations=(NoRestartUntilUnplugged(),)),
    ),
    StationCharacter(
        "NEcharge",
        "regulates to 6, 8, 10, 13 or 16 A and rounds down",
        "template ocpp-necharge",
        StationModel(vendor="NEcharge", model="AC", deviations=(Steps(6, 8, 10, 13, 16),)),
        max_a=16.0,
    ),
    StationCharacter(
        "Autel MaxiCharger",
        "answers a Relative ChargePointMaxProfile with PropertyConstraintViolation; starts on RemoteStart "
        "only; leaves Finishing by a reset only",
        "lbbrhzn/ocpp#677, #1565",
        StationModel(
            vendor="Autel",
            model="MaxiCharger AC",
            rejects=relative_maximum,
            starts_by="remote",
            deviations=(FinishingNeedsReset(),),
        ),
    ),
    StationCharacter(
        "Alfen Eve",
        "switches to one phase and back by numberPhases; begins a transaction at plug-in by itself with "
        "its PlugAndChargeIdentifier",
        "template ocpp-alfen, #5021; Alfen guide",
        StationModel(
            vendor="Alfen BV",
            model="NG910-60503",
            firmware="6.6.0",
            starts_by="plug",
            auto_start_tag="ALFEN-PNC",
            switches_phases=True,
            configuration={
                "PlugAndChargeIdentifier": "ALFEN-PNC",
                "ConnectorSwitch3to1PhaseSupported": "true",
            },
        ),
    ),
    StationCharacter(
        "EVBox Elvi",
        "rejects ChargePointMaxProfile; takes 0 A for 6 A, so it never pauses; lists its measurands under "
        "a key of its own; its phase rotation is not set",
        "#14733; lbbrhzn/ocpp#221, #1703",
        StationModel(
            vendor="EVBox",
            model="E3321-A45062",
            rejects=of_purpose("ChargePointMaxProfile"),
            configuration={
                "evb_SupportedMeasurands": "Current.Import,Energy.Active.Import.Register,Power.Active.Import",
                "ConnectorPhaseRotation": "",
            },
            deviations=(CannotPause(),),
        ),
    ),
    StationCharacter(
        "Timxon",
        "takes TxDefaultProfile only",
        "lbbrhzn/ocpp#2158",
        StationModel(vendor="TIMXON", model="AC22", rejects=of_purpose("TxProfile", "ChargePointMaxProfile")),
    ),
    StationCharacter(
        "Heidelberg connect.business",
        "accepts every profile and ignores it; some of its values are empty texts",
        "#17836, #18109",
        StationModel(
            vendor="Amperfied",
            model="connect.business",
            deviations=(AcceptsAndIgnores(), EmptyValues("Voltage", "Current.Offered")),
        ),
    ),
    StationCharacter(
        "KEBA P30",
        "lets the lowest of all limits win, so that a default profile caps a TxProfile",
        "manual of the x-series; steve-community/steve#116",
        StationModel(vendor="Keba AG", model="KC-P30-x", deviations=(LowestWins(),)),
    ),
    StationCharacter(
        "myenergi Zappi",
        "takes TxDefaultProfile only, on connector 1, and rejects a write within 30 s of the last one",
        "myenergi guide",
        StationModel(
            vendor="myenergi",
            model="zappi",
            firmware="5.5",
            max_stack_level=0,
            rejects=any_of(of_purpose("TxProfile", "ChargePointMaxProfile"), on_connector_zero),
            deviations=(NotSoFast(30),),
        ),
    ),
)

_HABITS = (
    StationCharacter(
        "Charging at 0 A",
        "reports Charging while it offers nothing",
        "#14210",
        StationModel(deviations=(AlwaysCharging(),)),
    ),
    StationCharacter(
        "Ignores numberPhases",
        "takes watts only and divides them by three, although it is wired to one phase",
        "OCPP 1.6 errata 3.34",
        StationModel(rate_units=("Power",), reads_number_phases=False),
        wiring=("L1",),
        visitor="one phase 32 A",
    ),
    StationCharacter(
        "One phase told",
        "measures the current of L1 only while all three charge",
        "field practice",
        StationModel(deviations=(OnePhaseTold(),)),
    ),
    StationCharacter(
        "Kilowatts",
        "tells kW and kWh, padded with blanks",
        "field practice",
        StationModel(deviations=(Kilowatts(),)),
    ),
    StationCharacter(
        "Session register",
        "meter values tell the energy of the session, start and stop the lifetime's",
        "#29654, #29374",
        StationModel(meter_start_wh=1_234_567, deviations=(SessionRegister(),)),
    ),
    StationCharacter(
        "Clock two minutes slow",
        "its clock is two minutes behind, and no answer of the central system sets it",
        "OCPP 1.6 section 4.6",
        StationModel(clock_error_s=-120),
    ),
    StationCharacter(
        "Clock two minutes fast",
        "its clock is two minutes ahead",
        "OCPP 1.6 section 4.6",
        StationModel(clock_error_s=120),
    ),
    StationCharacter(
        "Times without zone",
        "its timestamps end without a zone",
        "#10399",
        StationModel(zone=""),
    ),
    StationCharacter(
        "Random start delay",
        "waits for five minutes before each start, as the law of Great Britain asks for",
        "myenergi guide; Electric Vehicles (Smart Charge Points) Regulations 2021",
        StationModel(deviations=(StartsLate(300),)),
    ),
    StationCharacter(
        "One period only",
        "takes schedules of one period",
        "OCPP 1.6 section 9 (ChargingScheduleMaxPeriods)",
        StationModel(max_periods=1),
    ),
    StationCharacter(
        "Free charging",
        "charges whatever is plugged in, without a transaction; only a ChargePointMaxProfile limits it",
        "Webasto Live manual",
        StationModel(vendor="Webasto", model="Live", starts_by="free"),
    ),
    StationCharacter(
        "Answers late",
        "answers every call 40 s later",
        "field practice: slow mobile links",
        StationModel(deviations=(AnswersLate(40),)),
    ),
    StationCharacter(
        "Phases rotated",
        "its first conductor is the grid's L2 (rotation STR), and it says so",
        "OCPP 1.6 section 9 (ConnectorPhaseRotation)",
        StationModel(configuration={"ConnectorPhaseRotation": "0.RST,1.STR"}),
        wiring=("L2", "L3", "L1"),
        visitor="one phase 32 A",
    ),
    StationCharacter(
        "Well-behaved",
        "does all that it should",
        "OCPP 1.6 edition 2",
        StationModel(),
    ),
)

_USUAL = VehicleModel("three phases", battery_wh=60_000, taper_from=1.0)


def _like(name: str, **changes: Any) -> VehicleModel:
    facts: dict[str, Any] = {"battery_wh": 60_000, "taper_from": 1.0} | changes
    return VehicleModel(name, **facts)


_VEHICLES = (
    VehicleCharacter("three phases", "takes what it is offered, 16 A on three phases", "IEC 61851-1", _USUAL),
    VehicleCharacter(
        "one phase 32 A",
        "takes up to 32 A on one phase",
        "field practice: Nissan Leaf, older Ioniq",
        _like("one phase 32 A", phases=1, max_a=32),
        {"max_a": 32},
    ),
    VehicleCharacter(
        "two phases",
        "charges on two of three phases",
        "7.2 kW on-board chargers of VW and Kia",
        _like("two phases", phases=2),
    ),
    VehicleCharacter(
        "sleeps if not fed at first",
        "sleeps if it is not charged within five minutes of being plugged in, as the Renault Zoe",
        "field practice: Renault Zoe",
        _like("sleeps if not fed at first", sleep_unfed_after_s=300),
        {"safe_a": 0},
    ),
    VehicleCharacter(
        "sleeps after a pause",
        "sleeps after ten minutes without an offer; wakes when 10 A or more follow 0 A for a minute",
        "#21293; wbec#136",
        _like("sleeps after a pause", sleep_after_s=600),
    ),
    VehicleCharacter(
        "wakes by hand only",
        "sleeps after ten minutes without an offer, and only unplugging wakes it",
        "#8143",
        _like("wakes by hand only", sleep_after_s=600, wakes_by_pulse=False),
    ),
    VehicleCharacter(
        "8 A minimum",
        "reports an error when it is offered less than 8 A",
        "reference platform's rule 7",
        _like("8 A minimum", min_a=8, faults_below_min=True),
        {"min_a": 8},
    ),
    VehicleCharacter(
        "10 A minimum",
        "reports an error when it is offered less than 10 A",
        "reference platform's rule 7",
        _like("10 A minimum", min_a=10, faults_below_min=True),
        {"min_a": 10},
    ),
    VehicleCharacter(
        "plug-in hybrid",
        "takes 16 A on one phase, ever less from 80 % on",
        "field practice",
        VehicleModel("plug-in hybrid", battery_wh=12_000, phases=1, taper_from=0.8),
        already=0.84,
        until=0.93,
    ),
    VehicleCharacter(
        "cannot vary",
        "takes 13 A on one phase whatever it is offered, or nothing, as built before 2014",
        "reference platform's rule 10",
        _like("cannot vary", phases=1, max_a=13, modulates=False),
        {"modulates": False, "max_a": 13, "phases": ["L1"]},
    ),
    VehicleCharacter(
        "takes less",
        "draws 1 A less than it is offered",
        "field practice",
        _like("takes less", shortfall_a=1.0),
    ),
    VehicleCharacter(
        "trickles",
        "goes on drawing 0.4 A when it is full",
        "#14210",
        _like("trickles", trickle_a=0.4),
    ),
    VehicleCharacter(
        "full early",
        "has a charge limit of its own and stops long before its driver expects it",
        "field practice",
        _like("full early"),
        already=0.99,
    ),
    VehicleCharacter(
        "touchy",
        "reports an error at the fourth start within ten minutes, as the VW ID.3",
        "field practice: VW ID.3",
        _like("touchy", tolerated_starts=3),
    ),
)
