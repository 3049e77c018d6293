"""What stations say they measure, and what is understood. [W, A, Wh, %]"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.charge_point import ConnectorReading, LiveConnector, OpenTransaction
from csms.domain.meter_value import LARGEST, is_covered, number, read_sampled_values

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
Sample = dict[str, Any]


def sample(value: Any, measurand: str | None = None, phase: str | None = None, **more: Any) -> Sample:
    named = {"measurand": measurand, "phase": phase, **more}
    return {"value": value, **{key: item for key, item in named.items() if item is not None}}


def power(value: Any, phase: str | None = None, unit: str | None = "W", **more: Any) -> Sample:
    return sample(value, "Power.Active.Import", phase, unit=unit, **more)


def current(value: Any, phase: str | None = None, **more: Any) -> Sample:
    return sample(value, "Current.Import", phase, unit="A", **more)


def voltage(value: Any, phase: str | None = None) -> Sample:
    return sample(value, "Voltage", phase, unit="V")


def energy(value: Any, phase: str | None = None, unit: str | None = "Wh", **more: Any) -> Sample:
    return sample(value, "Energy.Active.Import.Register", phase, unit=unit, **more)


REGISTERS: dict[str, tuple[list[Sample], float | None]] = {
    "nothing named: the register in Wh": ([sample("1234.5")], 1234.5),
    "kWh": ([energy("1.5", unit="kWh")], 1500),
    "padded": ([energy(" 0.0")], 0),
    "a number instead of text": ([energy(17)], 17),
    "decimal comma": ([energy("12,5")], 12.5),
    "empty": ([energy("")], None),
    "not a number": ([energy("NaN")], None),
    "infinite": ([energy("inf")], None),
    "phases only: their sum": ([energy("1", "L1"), energy("2", "L2"), energy("3", "L3")], 6),
    "total and phases (ABB): the total": ([energy("1", "L1"), energy("6"), energy("5", "L2")], 6),
    "total marked L1": ([energy("900", "L1")], 900),
    "an interval is not the register": ([sample("5", "Energy.Active.Import.Interval", unit="Wh")], None),
    "exported energy is not imported": ([sample("5", "Energy.Active.Export.Register", unit="Wh")], None),
    "not known (2^31 − 1)": ([energy(str(2**31 - 1))], None),
    "negative": ([energy("-4")], None),
    "signed data": ([energy("AF12", format="SignedData")], None),
    "measured at the inlet, too": ([energy("7", location="Inlet"), energy("9", location="Outlet")], 9),
    "measured at the inlet only": ([energy("7", location="Inlet")], 7),
    "nothing": ([], None),
}


@pytest.mark.parametrize("story", REGISTERS)
def test_the_register(story: str) -> None:
    samples, expected_wh = REGISTERS[story]
    assert read_sampled_values(samples, NOON).energy_wh == expected_wh


POWERS: dict[str, tuple[list[Sample], float | None]] = {
    "watts": ([power("7360")], 7360),
    "kilowatts": ([power("7.36", unit="kW")], 7360),
    "phases only: their sum": ([power("2300", "L1"), power("2300", "L2")], 4600),
    "phases as L1-N": ([power("2300", "L1-N"), power("2000", "L3-N")], 4300),
    "total and phases: not added": ([power("2300", "L1"), power("2300", "L2"), power("4600")], 4600),
    "no unit is W": ([power("7360", unit=None)], 7360),
    "no unit, but the amperes say kW": (
        [power("11.04", unit=None), *(current("16", phase) for phase in ("L1", "L2", "L3"))],
        11_040,
    ),
    "no unit, standby power beside a trickle": ([power("20", unit=None), current("0.4", "L1")], 20),
    "exported power is not drawn": ([sample("5000", "Power.Active.Export", unit="W")], None),
    "offered power is not drawn": ([sample("5000", "Power.Offered", unit="W")], None),
    "not said": ([current("16", "L1")], None),
}


@pytest.mark.parametrize("story", POWERS)
def test_the_power(story: str) -> None:
    samples, expected_w = POWERS[story]
    assert read_sampled_values(samples, NOON).power_w == pytest.approx(expected_w)


CURRENTS: dict[str, tuple[list[Sample], tuple[float, float, float] | None]] = {
    "three phases": ([current("16", "L1"), current("15", "L2"), current("14", "L3")], (16, 15, 14)),
    "one-phase car, zeros said": ([current("16", "L1"), current("0", "L2"), current("0", "L3")], (16, 0, 0)),
    "L1-N": ([current("16", "L1-N"), current("15", "L2-N"), current("14", "L3-N")], (16, 15, 14)),
    "the neutral does not count": ([current("9", "L1"), current("2", "N"), power("2070")], (9, 0, 0)),
    "milliamperes": ([sample("6000", "Current.Import", "L1", unit="mA"), power("1380")], (6, 0, 0)),
    "L1 only, nothing else: absent is not zero": ([current("16", "L1")], (16, 16, 16)),
    "L1 only, three-phase power": ([current("16", "L1"), power("11040")], (16, 16, 16)),
    "L1 only, one-phase power": ([current("16", "L1"), power("3600")], (16, 0, 0)),
    "L2 only, one-phase power": ([current("16", "L2"), power("3600")], (0, 16, 0)),
    "L1 and L2, two-phase power": ([current("16", "L1"), current("16", "L2"), power("7300")], (16, 16, 0)),
    "one without phase, one-phase power": ([current("10"), power("2300")], (10, 0, 0)),
    "one without phase, two-phase power": ([current("10"), power("4600")], (10, 10, 0)),
    "one without phase, three-phase power": ([current("10"), power("6900")], (10, 10, 10)),
    "one without phase, no power": ([current("10")], (10, 10, 10)),
    "one without phase beside phases": ([current("30"), current("10", "L1"), power("2300")], (10, 0, 0)),
    "nothing flows": ([current("0"), power("0")], (0, 0, 0)),
    "measured volts decide": ([current("20"), power("4800"), voltage("120")], (20, 20, 0)),
    "absurd volts do not": ([current("20"), power("4600"), voltage("4")], (20, 0, 0)),
    "one without phase, more than is offered: a sum": (
        [current("30"), power("6900"), sample("10", "Current.Offered", unit="A")],
        (10, 10, 10),
    ),
    "a sum of two phases": ([current("19.6"), sample("10", "Current.Offered", unit="A")], (9.8, 9.8, 9.8)),
    "a sum of two phases beside its power": (
        [current("19.6"), power("4508"), sample("10", "Current.Offered", unit="A")],
        (9.8, 9.8, 0),
    ),
    "lower case and blanks": ([sample("16", "Current.Import", " l1 ", unit=" A ")], (16, 16, 16)),
    "kilowatts on each phase": (
        [power("2.3", phase, unit="kW") for phase in ("L1", "L2", "L3")] + [current("10", "L1")],
        (10, 10, 10),
    ),
    "line to line volts do not count": ([current("10"), power("2300"), voltage("400", "L1-L2")], (10, 0, 0)),
    "offered is not measured": ([sample("16", "Current.Offered", unit="A")], None),
    "not said": ([power("7000")], None),
}


@pytest.mark.parametrize("story", CURRENTS)
def test_the_current(story: str) -> None:
    samples, expected_a = CURRENTS[story]
    assert read_sampled_values(samples, NOON).current_a == expected_a


def test_the_state_of_charge() -> None:
    samples = [
        sample("81", "SoC", unit="Percent", location="EV"),
        sample("22", "Temperature", unit="Celsius"),
    ]
    assert read_sampled_values(samples, NOON) == ConnectorReading(NOON, soc_percent=81)


@pytest.mark.parametrize(
    ("said", "is_kept_elsewhere"),
    [
        (energy("1"), False),
        (power("1"), False),
        (current("1", "L2-N"), False),
        (current("1"), True),
        (power("1", "L1"), True),
        (energy("1", "L1"), True),
        (voltage("230", "L1"), True),
        (sample("1", "Temperature"), True),
        (energy(""), True),
    ],
)
def test_what_has_no_column_of_its_own_is_kept_as_sent(said: Sample, is_kept_elsewhere: bool) -> None:
    assert is_covered(said) is not is_kept_elsewhere


@given(st.floats(-LARGEST, LARGEST))
def test_a_number_is_read_as_it_was_written(value: float) -> None:
    assert number(str(value)) == number(f"  {value}\t") == number(value) == value


measurands = st.sampled_from(
    [None, "Power.Active.Import", "Current.Import", "Voltage", "SoC", "Energy.Active.Import.Register", "?"]
)
phases = st.sampled_from([None, "L1", "L2", "L3", "N", "L1-N", "L1-L2", "x"])
odd_values = st.one_of(st.floats(-1e6, 1e6).map(str), st.text(max_size=5), st.none(), st.integers())
odd_samples = st.builds(
    sample, odd_values, measurands, phases, unit=st.sampled_from([None, "kW", "W", "kWh"])
)


@pytest.mark.parametrize("value", ["1e308", "-1e308", "1e400", "inf", "nan", 10**300, "9" * 400])
@pytest.mark.parametrize("unit", ["W", "kW", None])
def test_what_no_meter_can_measure_is_not_read(value: Any, unit: str | None) -> None:
    """Made infinite by its unit or a sum, it would stop whatever reckons with it."""
    samples = [power(value, phase, unit=unit) for phase in ("L1", "L2", "L3")]
    reading = read_sampled_values([*samples, current("10", "L1"), current(value, "L2")], NOON)
    assert reading.power_w is None
    assert reading.current_a == (10, 10, 10)


@given(st.lists(odd_samples, max_size=8))
def test_whatever_is_said_can_be_read(samples: list[Sample]) -> None:
    reading = read_sampled_values(samples, NOON)
    assert reading.energy_wh is None or reading.energy_wh >= 0


REGISTER_STORIES: dict[str, tuple[float, list[float], list[float]]] = {
    "the meter's whole life": (5_000_000, [5_001_000, 5_002_500], [1000, 2500]),
    "the session's counter": (0, [1000, 2500], [1000, 2500]),
    "the start tells the life, the samples the session": (5_000_000, [1000, 2500], [1000, 2500]),
    "the start tells the session, the samples the life": (0, [5_001_000, 5_002_500], [0, 1500]),
    "not told at the start": (-1, [5_001_000, 5_002_500], [0, 1500]),
    "replaced in the middle": (100_000, [103_000, 0, 1200], [3000, 3000, 4200]),
    "a value that falls": (100_000, [103_000, 102_900, 103_500], [3000, 3000, 3500]),
}


@pytest.mark.parametrize("story", REGISTER_STORIES)
def test_the_energy_of_a_transaction_neither_jumps_nor_falls(story: str) -> None:
    meter_start_wh, registers, expected_wh = REGISTER_STORIES[story]
    transaction = OpenTransaction(1, "BADGE1", NOON, meter_start_wh)
    seen = []
    for register in registers:
        transaction.register_read(register)
        seen.append(transaction.energy_wh)
    assert seen == expected_wh


@pytest.mark.parametrize(
    ("registers_wh", "powers_w"),
    [
        ([0, 23, 46, 69], [None, 1380, 1380, 1380]),  # every minute
        ([0, 10, 10, 20, 30, 40, 50], [None, None, None, 400, 400, 600, 600]),  # in steps of 10 Wh
        ([0, 0, 0, 0, 0, 0, 0], [None, None, None, None, None, 0, 0]),
        ([500, 0, 23], [None, None, 1380]),  # the meter was reset
    ],
)
def test_a_register_alone_tells_the_power(registers_wh: list[float], powers_w: list[float | None]) -> None:
    live, seen = LiveConnector(status="Charging"), []
    for minute, register in enumerate(registers_wh):
        at = NOON + timedelta(minutes=minute)
        live.take_reading(ConnectorReading(at, energy_wh=register), at)
        assert live.reading is not None
        seen.append(live.reading.power_w)
    assert seen == pytest.approx(powers_w)


def test_a_station_that_tells_power_is_taken_at_its_word() -> None:
    """Its register comes by itself in between."""
    live = LiveConnector(status="Charging")
    for minute in range(6):
        at = NOON + timedelta(minutes=minute)
        live.take_reading(ConnectorReading(at, power_w=3000), at)
        at += timedelta(seconds=20)
        live.take_reading(ConnectorReading(at, energy_wh=100 * minute), at)
        assert live.reading is not None
        assert live.reading.power_w == 3000


@given(st.lists(odd_samples, max_size=40), st.floats(0, 1e7))
def test_the_energy_of_a_transaction_never_falls(samples: list[Sample], meter_start_wh: float) -> None:
    transaction = OpenTransaction(1, "BADGE1", NOON, meter_start_wh)
    seen = [transaction.energy_wh]
    for one in samples:
        if (register_wh := read_sampled_values([one], NOON).energy_wh) is not None:
            transaction.register_read(register_wh)
        seen.append(transaction.energy_wh)
    assert seen == sorted(seen)
