"""A server's memory over the course of a benchmark: ten points to look at, how fast it grows in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import linear_regression
from time import monotonic

from benchmarks.figures import Figure, at_most
from benchmarks.server_process import ServerProcess

TENTHS, NOTED = 10, 100  # points shown and points noted
PER = 10_000
GROWTH_MB = 0.5  # target: per so many, once the caches are full


@dataclass
class MemoryTrace:
    """of: what there will be `total` of, e.g. frames. warm_up: after how many of them the caches are full."""

    server: ServerProcess
    of: str
    total: int
    warm_up: int
    points: list[tuple[int, float]] = field(default_factory=list)  # (how many, MB)
    began_s: float = field(default_factory=monotonic)

    def note(self, done: int) -> None:
        """Call it as often as you like."""
        last = self.points[-1][0] if self.points else 0
        if done * NOTED // self.total <= last * NOTED // self.total:
            return
        memory_mb = self.server.memory_bytes() / 1e6
        self.points.append((done, memory_mb))
        if done * TENTHS // self.total > last * TENTHS // self.total:
            rate = done / (monotonic() - self.began_s)
            print(f"{done:7} {self.of}, {rate:.0f}/s: {memory_mb:.1f} MB", flush=True)

    def growth_mb(self) -> float:
        """Per `PER`, over the second half: the straight line that fits it best."""
        late = [(done / PER, memory_mb) for done, memory_mb in self.points if done >= self.total / 2]
        return linear_regression(*zip(*late, strict=True)).slope if len(late) > 1 else 0.0

    def figures(self) -> list[Figure]:
        tenths = [self.points[n * (len(self.points) - 1) // (TENTHS - 1)][1] for n in range(TENTHS)]
        what, growth_mb = f"growth per {PER} {self.of}, second half", self.growth_mb()
        is_warm = self.total / 2 >= self.warm_up
        return [
            Figure("memory at ten points, MB", " ".join(f"{memory_mb:.0f}" for memory_mb in tenths)),
            at_most(what, growth_mb, GROWTH_MB, " MB", 2)
            if is_warm
            else Figure(what, f"{growth_mb:.2f} MB", f"none below {2 * self.warm_up} {self.of}"),
        ]
