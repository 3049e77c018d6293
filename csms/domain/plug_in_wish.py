"""What a person wants of a connector until its vehicle is unplugged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

PLUGGED_STATES = ("plugged", "ready", "charging", "finished", "refused")
"""States of a connector in which a cable is in. Of a station that is offline or faulted nothing is known."""


@dataclass(frozen=True, slots=True)
class PlugInWish:
    """mode, manual: as set by hand, None = as otherwise. departs_at, requested_wh: the driver's target.

    was_plugged: a vehicle has been there since it was wished; when it is unplugged, the wish is over.
    """

    mode: str | None = None
    manual: Any = None
    departs_at: datetime | None = None
    requested_wh: float | None = None
    was_plugged: bool = False

    def is_empty(self) -> bool:
        return self.mode is None and self.departs_at is None and self.requested_wh is None


NO_WISH = PlugInWish()
