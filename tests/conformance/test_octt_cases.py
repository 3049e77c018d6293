"""The cases there are: each number once."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

CASES = """
001 003 004_1 004_2 005_1 007 010 011_1 011_2 012 013 014 017_1 017_2 018_1 019_1 019_2 021 023_1 023_2 023_3
024 026 028 030 031 032_1 037_1 037_3 039 040_1 040_2 061 064
042_1 042_2 043_1 043_3 043_4 043_5
044_1 044_2 044_3 045_1 045_2
046 047 048_1 048_2 048_3 048_4 049 051 052 053
054 055
056 057 059 066 067
073 074 075_1 075_2 076 077 078 079 080 081 083 085 086 087 088
"""


def test_all_77_central_system_cases_are_played_once() -> None:
    cases = CASES.split()
    assert len(cases) == 77
    stories = (file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_tc_*.py"))
    played = [number for story in stories for number in re.findall(r"def test_tc_(\d{3}(?:_\d)?)_", story)]
    assert Counter(played) == Counter(cases)
