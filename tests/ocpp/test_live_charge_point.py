"""What a connector is doing, told from status, transaction and what is measured."""

from datetime import UTC, datetime, timedelta

import pytest

from csms.domain.charge_point import (
    CONNECTORS_KEPT,
    QUIRK_KINDS,
    ConnectorReading,
    LiveConnector,
    OpenTransaction,
    Station,
)

NOW = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
TEN_AMPS = (10.0, 0.0, 0.0)
NO_AMPS = (0.2, 0.0, 0.0)


def connector(status, current_a=None, power_w=None, age_s=10.0, status_age_s=60.0, session=False):
    live = LiveConnector(status=status, status_at=NOW - timedelta(seconds=status_age_s))
    if session:
        live.transaction = OpenTransaction(1, "A", NOW, 1000.0)
    if current_a is not None or power_w is not None:
        live.reading = ConnectorReading(NOW - timedelta(seconds=age_s), power_w, current_a)
    return live


@pytest.mark.parametrize(
    ("story", "live", "state"),
    [
        ("never heard of", LiveConnector(), "free"),
        ("nobody there", connector("Available"), "free"),
        ("reserved", connector("Reserved"), "free"),
        ("out of service", connector("Unavailable"), "free"),
        ("plugged in, no badge yet", connector("Preparing"), "plugged"),
        ("waits for the sun", connector("SuspendedEVSE", session=True), "ready"),
        ("offered, not taking", connector("SuspendedEV", NO_AMPS, session=True), "ready"),
        ("charges", connector("Charging", TEN_AMPS, session=True), "charging"),
        ("charges, says so, measures nothing", connector("Charging", session=True), "charging"),
        ("says it charges, but takes nothing", connector("Charging", NO_AMPS, session=True), "ready"),
        ("charges, status lags", connector("SuspendedEV", TEN_AMPS, session=True), "charging"),
        ("charges, only power is measured", connector("Preparing", power_w=1400.0, session=True), "charging"),
        ("charges without a transaction (free mode)", connector("Charging"), "charging"),
        (
            "current read long ago",
            connector("SuspendedEV", TEN_AMPS, age_s=600, status_age_s=900, session=True),
            "ready",
        ),
        (
            "old reading, status says Charging",
            connector("Charging", NO_AMPS, age_s=600, status_age_s=900, session=True),
            "charging",
        ),
        (
            "stopped since the reading",
            connector("SuspendedEV", TEN_AMPS, status_age_s=5, session=True),
            "ready",
        ),
        ("begun since the reading", connector("Charging", NO_AMPS, status_age_s=5, session=True), "charging"),
        ("transaction open before any status", connector(None, session=True), "ready"),
        ("over, cable still in", connector("Finishing"), "finished"),
        ("over, the stop message is on its way", connector("Finishing", session=True), "finished"),
        ("driver gone, the stop message lost", connector("Available", session=True), "free"),
        ("broken", connector("Faulted", session=True), "faulted"),
    ],
)
def test_state_of_a_connected_station_s_connector(story, live, state):
    assert live.state(NOW) == state
    assert live.state(NOW, connected=False) == "offline"


def test_energy_of_a_transaction_never_falls():
    live = connector("Charging", session=True)
    for seconds, register_wh in enumerate((1000.0, 1500.0, 1400.0, 0.0)):
        live.take_reading(ConnectorReading(NOW + timedelta(seconds=10 * seconds), energy_wh=register_wh), NOW)
    assert live.transaction.energy_wh == 500.0


def test_a_register_that_begins_anew_is_counted_on():
    live = LiveConnector(transaction=OpenTransaction(1, "A", NOW, 100_000.0))
    energies = []
    for seconds, register_wh in enumerate((103_000.0, 102_900.0, 0.0, 500.0, 450.0, 2200.0)):
        live.take_reading(ConnectorReading(NOW + timedelta(seconds=10 * seconds), energy_wh=register_wh), NOW)
        energies.append(live.transaction.energy_wh)
    assert energies == [3000.0, 3000.0, 3000.0, 3500.0, 3500.0, 5200.0]


def test_one_sample_spread_over_several_messages_is_one_reading():
    live = LiveConnector()
    live.take_reading(ConnectorReading(NOW, power_w=2300.0), NOW)
    live.take_reading(ConnectorReading(NOW, current_a=TEN_AMPS), NOW)
    assert live.reading == ConnectorReading(NOW, 2300.0, TEN_AMPS)
    later = NOW + timedelta(seconds=10)
    live.take_reading(ConnectorReading(later, current_a=NO_AMPS), later)
    assert live.reading == ConnectorReading(later, current_a=NO_AMPS)


def test_power_told_apart_from_energy_holds_as_long_as_its_own_age_allows():
    live = LiveConnector()
    live.take_reading(ConnectorReading(NOW, 2300.0, TEN_AMPS, 100.0, 40.0), NOW)
    for seconds in (1, 60, 170):
        at = NOW + timedelta(seconds=seconds)
        live.take_reading(ConnectorReading(at, energy_wh=100.0 + seconds), at)
        assert live.reading == ConnectorReading(NOW, 2300.0, TEN_AMPS, 100.0 + seconds, 40.0)
    too_late = NOW + timedelta(seconds=200)
    live.take_reading(ConnectorReading(too_late, energy_wh=300.0), too_late)
    assert live.reading == ConnectorReading(too_late, energy_wh=300.0)


def test_a_replayed_past_does_not_replace_what_is_measured_now():
    live = LiveConnector()
    assert live.take_reading(ConnectorReading(NOW, power_w=2300.0), NOW)
    assert not live.take_reading(ConnectorReading(NOW - timedelta(hours=5), power_w=0.0), NOW)
    assert live.reading.power_w == 2300.0


def test_one_reading_from_the_future_does_not_freeze_the_connector():
    live = LiveConnector()
    live.take_reading(ConnectorReading(NOW + timedelta(days=365), power_w=9.0), NOW)
    assert live.take_reading(ConnectorReading(NOW, power_w=2300.0), NOW)
    assert live.reading.power_w == 2300.0


def test_no_station_fills_our_memory_with_kinds_of_quirks():
    station = Station("CP1", "Accepted")
    station.count_quirks([f"field{n}: unknown property" for n in range(10_000)], NOW)
    assert len(station.quirks) == QUIRK_KINDS + 1
    assert sum(station.quirks.values()) == 10_000


def test_no_station_fills_our_memory_with_connectors_it_makes_up():
    station = Station("CP1", "Accepted")
    for number in range(10_000):
        station.connector(number).status = "Available"
    assert len(station.connectors) == CONNECTORS_KEPT
    assert station.connector(1).status == "Available"
