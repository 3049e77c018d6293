"""Reads devices again and again, and keeps what they said last."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from drivers.device import DeviceError, Meter, MeterReading, Now, PhaseTriple, Sleep

_HISTORY_S = 900.0
_LONGEST_PAUSE_S = 30.0
_MOST_DOUBLINGS = 8


@dataclass(slots=True)
class PollStatistics:
    """failures_in_a_row is 0 while all is well."""

    reads: int = 0
    failures: int = 0
    failures_in_a_row: int = 0
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None


class _Poller:
    """The loop that meters and relay modules share. Times are of the clock `now` and `sleep` belong to."""

    def __init__(
        self,
        id: str,
        interval_s: float,
        now: Now,
        sleep: Sleep,
    ) -> None:
        self.id = id
        self.interval_s = interval_s
        self.problem: str | None = None
        self.statistics = PollStatistics()
        self._now, self._sleep = now, sleep

    async def run(self) -> None:
        """Until cancelled; a DeviceError becomes `problem` and makes the pauses longer."""
        while True:
            started_at = self._now()
            await self.poll()
            await self._sleep(self._pause_s((self._now() - started_at).total_seconds()))

    async def poll(self) -> None:
        """Once."""
        try:
            await self._read()
        except DeviceError as fault:
            self.problem = str(fault)
            self.statistics.failures += 1
            self.statistics.failures_in_a_row += 1
            self.statistics.last_failure_at = self._now()
        else:
            self.problem = None
            self.statistics.reads += 1
            self.statistics.failures_in_a_row = 0
            self.statistics.last_success_at = self._now()

    async def _read(self) -> None:
        raise NotImplementedError

    def _pause_s(self, taken_s: float) -> float:
        doublings = min(max(self.statistics.failures_in_a_row - 1, 0), _MOST_DOUBLINGS)
        pause_s = self.interval_s * (1 << doublings)
        if doublings:
            pause_s = min(pause_s, max(self.interval_s, _LONGEST_PAUSE_S))
        return min(max(pause_s - taken_s, 0.0), pause_s)


class MeterPoller(_Poller):
    """latest: the last good reading, however old (`age_s`); problem: why there is no newer one."""

    def __init__(
        self,
        meter: Meter,
        interval_s: float,
        now: Now,
        sleep: Sleep,
    ) -> None:
        super().__init__(meter.id, interval_s, now, sleep)
        self.latest: MeterReading | None = None
        self._meter = meter
        self._history: deque[MeterReading] = deque()

    async def _read(self) -> None:
        reading = await self._meter.read()
        self.latest = reading
        while self._history and self._history[-1].read_at > reading.read_at:  # by a clock that was set back
            self._history.pop()
        self._history.append(reading)
        while self._history[0].age_s(reading.read_at) > _HISTORY_S:
            self._history.popleft()

    def mean(self, window_s: float, now: datetime) -> MeterReading | None:
        """The samples of the last window_s (at most 900 s), weighted by how long each stood; None = none.

        A sample stands until the next one, but not longer than two intervals: what was not measured
        does not count. Energies, frequency and read_at are those of the last sample.
        """
        start = now - timedelta(seconds=window_s)
        samples = [r for r in self._history if start < r.read_at <= now]
        if not samples:
            return None
        ends = [r.read_at for r in samples[1:]] + [now]
        weights = [
            min(max((end - sample.read_at).total_seconds(), 0.0), 2 * self.interval_s)
            for sample, end in zip(samples, ends, strict=True)
        ]
        return _weighted_mean(samples, weights)


def _weighted_mean(samples: Sequence[MeterReading], weights: Sequence[float]) -> MeterReading:
    if sum(weights) <= 0:
        weights = [1.0] * len(samples)
    last = samples[-1]
    return MeterReading(
        power_w=sum(w * r.power_w for w, r in zip(weights, samples, strict=True)) / sum(weights),
        read_at=last.read_at,
        phase_power_w=_mean_triple([r.phase_power_w for r in samples], weights),
        current_a=_mean_triple([r.current_a for r in samples], weights),
        voltage_v=_mean_triple([r.voltage_v for r in samples], weights),
        frequency_hz=last.frequency_hz,
        import_wh=last.import_wh,
        export_wh=last.export_wh,
        soc_pct=last.soc_pct,
    )


def _mean_triple(triples: Sequence[PhaseTriple | None], weights: Sequence[float]) -> PhaseTriple | None:
    """Of the samples that have one."""
    pairs = [(w, t) for w, t in zip(weights, triples, strict=True) if t is not None]
    total = sum(w for w, _ in pairs)
    if not pairs:
        return None
    if total <= 0:
        return pairs[-1][1]
    l1, l2, l3 = (sum(w * t[phase] for w, t in pairs) / total for phase in range(3))
    return l1, l2, l3


class RelayModule(Protocol):
    """Raises DeviceError."""

    id: str

    async def read_all(self) -> tuple[bool, ...]: ...

    async def read_inputs(self) -> tuple[bool, ...]: ...


class RelayModulePoller(_Poller):
    """states, inputs: as read back last, from number 1 on; read_at, inputs_read_at: when.

    No inputs unless with_inputs.
    """

    def __init__(
        self,
        module: RelayModule,
        interval_s: float,
        now: Now,
        sleep: Sleep,
        with_inputs: bool = False,
    ) -> None:
        super().__init__(module.id, interval_s, now, sleep)
        self.states: tuple[bool, ...] | None = None
        self.inputs: tuple[bool, ...] = ()
        self.read_at: datetime | None = None
        self.inputs_read_at: datetime | None = None
        self._module, self._with_inputs = module, with_inputs

    async def _read(self) -> None:
        states = await self._module.read_all()
        self.states, self.read_at = states, self._now()
        if self._with_inputs:  # inputs that do not answer make the relays no worse
            self.inputs = await self._module.read_inputs()
            self.inputs_read_at = self._now()
