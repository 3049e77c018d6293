"""What a simulated meter is told to show, whatever wire it hangs on."""

from __future__ import annotations

from drivers.device import PhaseTriple


class MeterFace:
    """Power + is drawn. phase_power_w: None = the device shares the power among its phases."""

    def __init__(self) -> None:
        self.power_w = 0.0
        self.phase_power_w: PhaseTriple | None = None
        self.voltage_v: PhaseTriple = (230.0, 230.0, 230.0)
        self.import_wh = self.export_wh = 0.0
        self.soc_pct: float | None = None

    def set(
        self,
        *,
        power_w: float | None = None,
        phase_power_w: PhaseTriple | None = None,
        voltage_v: PhaseTriple | None = None,
        import_wh: float | None = None,
        export_wh: float | None = None,
        soc_pct: float | None = None,
    ) -> None:
        """What is None stays as it is; phase powers without power_w add up to it."""
        if phase_power_w is not None:
            self.phase_power_w = phase_power_w
            self.power_w = sum(phase_power_w) if power_w is None else power_w
        elif power_w is not None:
            self.power_w, self.phase_power_w = power_w, None
        self.voltage_v = voltage_v or self.voltage_v
        self.import_wh = self.import_wh if import_wh is None else import_wh
        self.export_wh = self.export_wh if export_wh is None else export_wh
        self.soc_pct = self.soc_pct if soc_pct is None else soc_pct
        self.show()

    def shares_w(self, phases: int = 3) -> PhaseTriple:
        """The power of each phase: as told, else in equal parts on so many phases."""
        if self.phase_power_w is not None:
            return self.phase_power_w
        l1, l2, l3 = (self.power_w / phases if n < phases else 0.0 for n in range(3))
        return l1, l2, l3

    def show(self) -> None:
        """Bring it to where the device is read."""
        raise NotImplementedError
