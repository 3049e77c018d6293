"""Numbers, sentences and flows that the page shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from csms.domain.site import ConnectorConfig
from csms.domain.snapshot import DeviceSnapshot, LoadSnapshot, SiteSnapshot
from csms.errors import CallFailed, CallTimeout, CsmsError, InvalidInput, NotConnected
from csms.services.limit_ladder import LimitStatus
from csms.web.certificates import end_in_words
from csms.web.devices import attention, hint
from csms.web.limits import detail_lines, summary_line
from csms.web.loads import next_current
from csms.web.local_list import held_in_words
from csms.web.login import FailedLogins, safe_target
from csms.web.power_flow import description, flows
from csms.web.station_words import job_state, refusal_in_words, spaced, stop_in_words
from csms.web.today import headline
from csms.web.wording import age, ago, amperes, duration, kilowatt_hours, kilowatts, times, when

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
SUNNY = SiteSnapshot(
    "home", "Sonnenweg 4", NOON, -640.0, -7420.0, None, 610.0, 6170.0, 640.0, 6810.0, (), ()
)  # fmt: skip
GRID_METER = DeviceSnapshot("grid", "meter", "Grid meter", True, 3.0)


@pytest.mark.parametrize(
    ("power_w", "words"),
    [
        (None, "–"),
        (0, "0.00"),
        (-640, "0.64"),
        (9994, "9.99"),
        (9996, "10.0"),
        (99_960, "100"),
        (123_456, "123"),
    ],
)
def test_power_in_three_figures(power_w: float | None, words: str) -> None:
    assert kilowatts(power_w) == words


def test_energy_and_current() -> None:
    assert (kilowatt_hours(None), kilowatt_hours(7340), kilowatt_hours(66_040)) == ("–", "7.34", "66.0")
    assert (amperes(None), amperes(6.0), amperes(6.25)) == ("–", "6 A", "6.2 A")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "never"),
        (3, "now"),
        (47, "40 s ago"),
        (240, "4 min ago"),
        (7300, "2 h ago"),
        (500_000, "5 days ago"),
    ],
)
def test_ages_are_coarse(seconds: float | None, words: str) -> None:
    assert ago(seconds) == words
    assert age(seconds) == words.removesuffix(" ago")


def test_flows_keep_their_sign_and_share_the_strongest() -> None:
    shown = flows(SUNNY)
    assert (shown["sun"].power_w, shown["sun"].share) == (7420.0, 1.0)
    assert shown["grid"].power_w == -640.0
    assert shown["sun"].width > shown["loads"].width > shown["grid"].width > 0
    assert (shown["battery"].moving, shown["battery"].width) == (False, 0.0)


def test_a_quiet_night_does_not_look_like_noon() -> None:
    night = replace(SUNNY, pv_w=0.0, grid_w=200.0, house_w=200.0, controlled_w=0.0)
    assert flows(night)["house"].share == pytest.approx(0.1)
    assert flows(night)["sun"].moving is False


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "The sun covers everything, 0.64 kW is left over."),
        ({"grid_w": 10.0}, "The sun covers everything that runs."),
        ({"grid_w": 3390.0}, "The sun covers 50% of what runs now."),
        ({"pv_w": 0.0, "grid_w": 700.0}, "No sun now: the power comes from the grid."),
        ({"pv_w": None, "grid_w": 700.0}, "0.70 kW flows from the grid."),
        ({"pv_w": None, "grid_w": -700.0}, "0.70 kW flows to the grid."),
        ({"grid_w": None}, "The grid meter does not answer."),
    ],
)
def test_the_headline_says_what_the_sun_does(changes: dict[str, float | None], sentence: str) -> None:
    assert headline(replace(SUNNY, **changes)) == sentence  # type: ignore[arg-type]


def test_the_drawing_is_described_for_those_who_cannot_see_it() -> None:
    assert description(SUNNY) == "Sun 7.42 kW, house 0.61 kW, loads 6.17 kW, to grid 0.64 kW"


def test_nothing_to_say_when_all_is_well() -> None:
    assert attention(replace(SUNNY, devices=(GRID_METER,)), NOON + timedelta(seconds=59), 60) == []


def test_broken_stale_and_faulted_things_are_named() -> None:
    silent = DeviceSnapshot("roof", "meter", "Roof", False, 260.0, "no answer from 192.0.2.10")
    never = DeviceSnapshot("io1", "relay_module", "Plant room", False, None)
    car = LoadSnapshot(
        "CP1/1", "Garage", "connector", "off", ("off",), "fault", 0, True, "GroundFailure", "fault"
    )
    snapshot = replace(
        SUNNY,
        devices=(replace(GRID_METER, age_s=130.0), silent, never),
        loads=(car,),
        warnings=("relays are hot",),
    )
    assert attention(snapshot, NOON, 60) == [
        "Meter Grid meter: no reading for 2 min",
        "Meter Roof: no answer from 192.0.2.10 (last good answer: 4 min ago)",
        "Relays Plant room: no answer (last good answer: never)",
        "Garage: GroundFailure",
        "Relays are hot",
    ]


def test_relays_that_nothing_opens_when_the_server_dies_say_so() -> None:
    module = DeviceSnapshot("io1", "relay_module", "Plant room", True, 2.0, failsafe="pulse")
    assert hint(module) == "Relays io1 is well"
    assert "stay as they are when the server dies" in hint(replace(module, failsafe="none"))
    assert "only if that is set in the device" in hint(replace(module, failsafe="watchdog_in_device"))


def test_a_controller_that_stopped_is_the_first_thing_to_know() -> None:
    lines = attention(SUNNY, NOON + timedelta(minutes=4), 60)
    assert lines == ["The controller has decided nothing for 4 min: what you see is old."]


def test_by_hand_only_legal_currents_can_be_chosen() -> None:
    connector = ConnectorConfig(id=1, min_a=6, max_a=16, step_a=4)
    assert [next_current(connector, a, +1) for a in (0, 6, 10, 14, 16)] == [6, 10, 14, 16, 16]
    assert [next_current(connector, a, -1) for a in (16, 10, 6, 0)] == [12, 6, 0, 0]


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "/\\evil.example", "https://evil.example", "", None, "/\r\nX: y"]
)
def test_signing_in_never_leads_to_another_server(wanted: str | None) -> None:
    assert safe_target(wanted) == "/"
    assert safe_target("/site/home") == "/site/home"


def test_five_wrong_passwords_make_an_address_wait_a_minute() -> None:
    failed = FailedLogins()
    for n in range(5):
        assert not failed.too_many("192.0.2.1", NOON + timedelta(seconds=n))
        failed.add("192.0.2.1", NOON + timedelta(seconds=n))
    assert failed.too_many("192.0.2.1", NOON + timedelta(seconds=59))
    assert not failed.too_many("192.0.2.2", NOON + timedelta(seconds=59))
    assert not failed.too_many("192.0.2.1", NOON + timedelta(seconds=61))


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (None, "never"),
        (NOON, "today 14:00"),
        (NOON - timedelta(hours=14, minutes=1), "yesterday 23:59"),
        (NOON + timedelta(hours=10), "tomorrow 00:00"),
        (NOON - timedelta(days=20), "12 May 14:00"),
        (NOON - timedelta(days=200), "13 Nov 2025 13:00"),
    ],
)
def test_moments_by_the_clock_on_the_wall(at: datetime | None, words: str) -> None:
    assert when(at, NOON, "Europe/Zurich") == words


def test_how_often() -> None:
    assert (times(1), times(1204)) == ("once", "1,204 times")


FOLLOWS = LimitStatus(
    "follows", "TxProfile on the connector, level 0, Absolute, A", {}, None, 12, 25, 3.0, None
)


def test_a_stations_limits_in_words() -> None:
    assert summary_line(FOLLOWS) == "Limits: followed · writes today: 12 of 25"
    assert detail_lines(FOLLOWS, NOON, "UTC") == [
        "Written as TxProfile on the connector, level 0, Absolute, A"
    ]
    deaf = LimitStatus(
        "not_controllable", None, {"TxProfile": "ignored"}, NOON + timedelta(hours=6), 1, None, -120.0, None
    )
    assert summary_line(deaf) == "Takes no limits: what it charges counts as the house's · writes today: 1"
    assert detail_lines(deaf, NOON, "UTC") == [
        "Ignored: TxProfile",
        "Tried again today 18:00, or when it restarts",
        "Its clock is 120 s ahead; schedules allow for it",
    ]
    waiting = replace(FOLLOWS, held_back="the last write was only just now")
    assert (
        detail_lines(waiting, NOON, "UTC")[-1] == "Last change not written: the last write was only just now"
    )


def test_a_device_says_when_its_registers_are_not_confirmed_on_hardware() -> None:
    assert hint(GRID_METER) == "Meter grid is well"
    assert hint(replace(GRID_METER, confidence="A")) == "Meter grid is well"
    assert "not confirmed on hardware" in hint(replace(GRID_METER, confidence="C"))
    assert hint(replace(GRID_METER, confidence="C", problem="frozen")) == "frozen"


# --- what stations answer ---


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            CallFailed("NotImplemented", "no such action"),
            "the station refused: it does not know this request (NotImplemented: no such action)",
        ),
        (CallFailed("Odd"), "the station refused: it does not say why (Odd)"),
        (
            CallTimeout("CP1", "ReserveNow", 30.0),
            "no answer of CP1 to “reserve now” within 30 s: it may have done it, or not",
        ),
        (NotConnected("CP1"), "CP1 is not connected: nothing was asked of it"),
        (InvalidInput("badge", "", "1 to 20 characters"), "badge: '' given, 1 to 20 characters expected"),
    ],
)
def test_refusals_in_words(error: CsmsError, words: str) -> None:
    assert refusal_in_words(error) == words


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("TamperDetectionActivated", "Tamper detection activated"),
        ("InvalidTLSVersion", "Invalid TLS version"),
        ("InvalidCsmsCertificate", "Invalid csms certificate"),
        ("v2g", "V2g"),
        ("", ""),
    ],
)
def test_words_of_ocpp_are_spaced(word: str, words: str) -> None:
    assert spaced(word) == words


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (200.0, ("Holds", "on")),
        (12.5, ("Ends in 12 days", "waiting")),
        (1.5, ("Ends in 1 day", "waiting")),
        (-0.1, ("Ended", "fault")),
    ],
)
def test_when_a_certificate_ends(days: float, words: tuple[str, str]) -> None:
    assert end_in_words(NOON + timedelta(days=days), NOON) == words


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("Asked", ("On its way", "waiting")),
        ("InstallVerificationFailed", ("Install verification failed", "fault")),
        ("UploadFailure", ("Upload failure", "fault")),
        ("Installed", ("Installed", "on")),
        ("Canceled", ("Gave way to another", "off")),
        ("Vendor thing", ("Vendor thing", "waiting")),
    ],
)
def test_the_state_of_a_job(status: str, state: tuple[str, str]) -> None:
    assert job_state(status) == state


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (None, "Nothing is known of its list: none was sent, and it was not asked."),
        ({"version": -1, "entries": {}, "status": "NotSupported"}, "The station keeps no list."),
        ({"version": 9, "entries": {}, "status": "VersionMismatch"}, "Version 9 on the station."),
        ({"version": 0, "entries": {}, "status": None}, "Version 0 on the station, no badge."),
        ({"version": 4, "entries": {"A": {}}, "status": "Accepted"}, "Version 4 on the station, 1 badge."),
    ],
)
def test_the_list_of_a_station_in_words(row: dict[str, Any] | None, words: str) -> None:
    assert held_in_words(row) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 00"),
        (180_060, "50 h 01"),
        (-5, "0 s"),
    ],
)
def test_how_long_a_session_was(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("reason", "note", "words"),
    [
        (None, None, "By the driver"),
        ("EVDisconnected", None, "Unplugged"),
        ("Lost", None, "the station never told its end"),
        ("Lost", "anna: station swapped", "closed by anna: station swapped"),
        ("SuspendedByMaker", None, "Suspended by maker"),
    ],
)
def test_how_a_session_ended(reason: str | None, note: str | None, words: str) -> None:
    assert stop_in_words(reason, note) == words
