"""Run every benchmark of this folder, or those named: python -m benchmarks [allocation …]"""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module
from pathlib import Path

names = sys.argv[1:] or sorted(
    m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.name != "__main__"
)
for name in names:
    import_module(f"benchmarks.{name}").run()
    print()
