"""What a Shelly says of itself, as readings and contacts. Pure.

Generation 1 answers /status, later ones the RPC Shelly.GetStatus; both tell everything at once.
A channel is counted as the device does, from 0. Powers are as the device signs them: + is drawn. Plugs and
relays with a meter of generations 1 and 2 tell no direction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from drivers.device import DeviceConfigError, DeviceRefused, ImplausibleReading, MeterReading, PhaseTriple
from drivers.values import first_phase, number, with_direction

_SINGLE_KINDS = ("em1", "pm1", "switch", "light", "cover")
_WH_PER_WATT_MINUTE = 1 / 60

Status = Mapping[str, Any]


def rpc_reading(status: Status, channel: int | None, read_at: datetime) -> MeterReading:
    """channel None: the three-phase meter, or the only other one.

    Raises:
        DeviceConfigError: there is no such channel, or several to choose from.
        ImplausibleReading: the part tells no power, or an error of its own.
    """
    if channel is None and "em:0" in status:
        return _three_phases(status["em:0"], status.get("emdata:0", {}), read_at)
    kinds = {
        kind: numbers
        for kind in _SINGLE_KINDS
        if (numbers := [n for n in _numbers(status, kind) if "act_power" in status[f"{kind}:{n}"]
                        or "apower" in status[f"{kind}:{n}"]])
    }  # fmt: skip
    kind, numbers = next(iter(kinds.items()), ("", []))
    chosen = _choose(channel, numbers)
    part = status[f"{kind}:{chosen}"]
    _refuse_errors(part)
    energies = status.get(f"em1data:{chosen}", {}) if kind == "em1" else part
    return _single(part, energies, read_at)


def plain_reading(status: Status, channel: int | None, read_at: datetime) -> MeterReading:
    """Of generation 1; see `rpc_reading`. A 3EM's three clamps are three phases, others stand alone."""
    emeters, meters = status.get("emeters") or [], status.get("meters") or []
    if channel is None and len(emeters) == 3:
        return _three_clamps(emeters, read_at)
    parts = emeters or meters
    part = parts[_choose(channel, range(len(parts)))]
    if part.get("is_valid") is False:
        raise ImplausibleReading("says that its own measurement is not valid")
    power_w, volt_v = _power(part, "power"), number(part, "voltage")
    total = number(part, "total")
    if total is not None and not emeters:
        total *= _WH_PER_WATT_MINUTE
    ampere = number(part, "current")
    return first_phase(
        power_w, read_at, volt_v, ampere, import_wh=total, export_wh=number(part, "total_returned")
    )


def rpc_contacts(status: Status, kind: str) -> tuple[bool, ...]:
    """kind: "switch" or "input", from channel 0 on."""
    key = "output" if kind == "switch" else "state"
    return tuple(bool(status[f"{kind}:{n}"].get(key)) for n in _numbers(status, kind))


def plain_contacts(status: Status, kind: str) -> tuple[bool, ...]:
    """Of generation 1."""
    parts = status.get("relays" if kind == "switch" else "inputs") or []
    return tuple(bool(part.get("ison" if kind == "switch" else "input")) for part in parts)


def _numbers(status: Status, kind: str) -> list[int]:
    return sorted(int(key.partition(":")[2]) for key in status if key.startswith(f"{kind}:"))


def _choose(channel: int | None, numbers: Sequence[int]) -> int:
    if not numbers:
        raise DeviceConfigError("driver", "shelly", "a Shelly that measures power: this one tells none,")
    if channel is None and len(numbers) == 1:
        return numbers[0]
    if channel is None or channel not in numbers:
        known = ", ".join(map(str, numbers))
        raise DeviceConfigError("unit", channel, f"which of its channels is meant ({known})")
    return channel


def _refuse_errors(part: Status) -> None:
    """ "power_meter_failure" and the like; a warning such as "overvoltage" is still a measurement."""
    failures = [e for e in part.get("errors") or () if "failure" in e or e.startswith("out_of_range")]
    if failures:
        raise ImplausibleReading(f"says that its own measurement failed ({', '.join(failures)})")


def _power(part: Status, *keys: str) -> float:
    for key in keys:
        if (power_w := number(part, key)) is not None:
            return power_w
    raise ImplausibleReading("answers, but tells no power")


def _three_phases(em: Status, energies: Status, read_at: datetime) -> MeterReading:
    _refuse_errors(em)
    phase_power_w = _triple([number(em, f"{p}_act_power") for p in "abc"])
    ampere = _triple([number(em, f"{p}_current") for p in "abc"])
    return MeterReading(
        power_w=_power(em, "total_act_power"),
        read_at=read_at,
        phase_power_w=phase_power_w,
        current_a=with_direction(ampere, phase_power_w),
        voltage_v=_triple([number(em, f"{p}_voltage") for p in "abc"]),
        frequency_hz=number(em, "a_freq"),
        import_wh=number(energies, "total_act"),
        export_wh=number(energies, "total_act_ret"),
    )


def _three_clamps(emeters: Sequence[Status], read_at: datetime) -> MeterReading:
    if any(part.get("is_valid") is False for part in emeters):
        raise ImplausibleReading("says that its own measurement is not valid")
    phase_power_w = _triple([_power(part, "power") for part in emeters])
    ampere = _triple([number(part, "current") for part in emeters])
    return MeterReading(
        power_w=sum(_power(part, "power") for part in emeters),
        read_at=read_at,
        phase_power_w=phase_power_w,
        current_a=with_direction(ampere, phase_power_w),
        voltage_v=_triple([number(part, "voltage") for part in emeters]),
        import_wh=_sum([number(part, "total") for part in emeters]),
        export_wh=_sum([number(part, "total_returned") for part in emeters]),
    )


def _single(part: Status, energies: Status, read_at: datetime) -> MeterReading:
    if "aenergy" in energies:  # a switch adds what flows back to its counter, too
        total, returned = number(energies["aenergy"], "total"), None
        if "ret_aenergy" in energies:
            returned = number(energies["ret_aenergy"], "total")
        drawn = None if total is None else total - (returned or 0.0)
    else:
        drawn, returned = number(energies, "total_act_energy"), number(energies, "total_act_ret_energy")
    return first_phase(
        _power(part, "act_power", "apower"),
        read_at,
        number(part, "voltage"),
        number(part, "current"),
        frequency_hz=number(part, "freq"),
        import_wh=drawn,
        export_wh=returned,
    )


def _triple(values: Sequence[float | None]) -> PhaseTriple | None:
    known = [v for v in values if v is not None]
    return (known[0], known[1], known[2]) if len(known) == 3 else None


def _sum(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) if len(known) == len(values) else None


def timer_s(part: Status) -> float | None:
    """How long the contact stays before it flips back by itself; None = no such timer runs."""
    if part.get("timer_duration") is None or part.get("has_timer") is False:
        return None
    return float(part["timer_duration"])


def as_status(answer: Any, what: str) -> Status:
    """Raises DeviceRefused if the answer is no JSON object."""
    if not isinstance(answer, dict):
        raise DeviceRefused(f"answered {what} with {type(answer).__name__}, an object expected")
    return answer
