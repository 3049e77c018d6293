"""The record of a check: what was found, when, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from html import escape
from typing import Any

from csms.domain.wiring import Finding, Status

ORDER: tuple[Status, ...] = ("fault", "warning", "inconclusive", "note", "ok")
WORDS = {"fault": "FAULT", "warning": "warning", "inconclusive": "inconclusive", "note": "note", "ok": "ok"}

_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .4em .7em; border-bottom: 1px solid #ccc }
.fault { color: #a40000; font-weight: 600 } .warning { color: #8a5a00 } .ok { color: #276749 }
.sign { display: flex; gap: 3em; margin-top: 4em }
.sign div { flex: 1; border-top: 1px solid #222; padding-top: .3em }
@media print { body { margin: 0; font-size: 11px } }
"""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """switched: whether loads were switched, without which wiring stays unchecked."""

    site_id: str
    site_name: str
    started_at: datetime
    ended_at: datetime
    version: str
    switched: bool
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> int:
        return sum(f.status == "fault" for f in self.findings)

    @property
    def summary(self) -> str:
        counts = {status: sum(f.status == status for f in self.findings) for status in ORDER[:-1]}
        told = [f"{count} {_plural(status, count)}" for status, count in counts.items() if count]
        return ", ".join(told) or "all is well"


def _plural(status: Status, count: int) -> str:
    return status if count == 1 or status == "inconclusive" else f"{status}s"


def sorted_findings(findings: Sequence[Finding]) -> list[Finding]:
    """The worst first, otherwise as they were found."""
    return sorted(findings, key=lambda finding: ORDER.index(finding.status))


def report_to_dict(report: CheckReport) -> dict[str, Any]:
    return {
        "site": report.site_id,
        "name": report.site_name,
        "started_at": report.started_at.isoformat(),
        "ended_at": report.ended_at.isoformat(),
        "version": report.version,
        "switched": report.switched,
        "faults": report.faults,
        "summary": report.summary,
        "findings": [asdict(finding) for finding in report.findings],
    }


def report_to_html(report: CheckReport) -> str:
    """A page to print, sign and keep."""
    rows = "\n".join(_row(finding) for finding in sorted_findings(report.findings))
    site = f"<strong>{escape(report.site_name)}</strong> ({escape(report.site_id)})"
    span = f"{report.started_at:%Y-%m-%d %H:%M} to {report.ended_at:%H:%M} UTC"
    switched = "Loads were switched." if report.switched else "Nothing was switched: the wiring is unchecked."
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Commissioning record, {escape(report.site_name)}</title>
<style>{_STYLE}</style></head><body>
<h1>Commissioning record</h1>
<p>{site}, {span}, Helianthus {escape(report.version)}</p>
<p>{escape(report.summary)}. {switched}</p>
<table><thead><tr><th>Result</th><th>What</th><th>Check</th><th>Found</th><th>To do</th></tr></thead>
<tbody>
{rows}
</tbody></table>
<div class="sign"><div>Place, date</div><div>Installer</div><div>Owner</div></div>
</body></html>
"""


def _row(finding: Finding) -> str:
    cells = (finding.subject, finding.check, finding.text, finding.advice)
    told = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr><td class="{finding.status}">{WORDS[finding.status]}</td>{told}</tr>'
