"""The record of a check: what was found, when, and what to do about it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from csms.domain.installation import Part, installation
from csms.domain.site import SiteConfig
from csms.domain.wiring import Finding, Status

ORDER: tuple[Status, ...] = ("fault", "warning", "inconclusive", "note", "ok")
WORDS = {"fault": "FAULT", "warning": "warning", "inconclusive": "inconclusive", "note": "note", "ok": "ok"}

_CODE = re.compile(r"`([^`]+)`")
_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .4em .7em; border-bottom: 1px solid #ccc }
.fault { color: #a40000; font-weight: 600 } .warning { color: #8a5a00 } .ok { color: #276749 }
tr { break-inside: avoid }
h2 { font-size: 1.2em; margin: 2em 0 .5em; break-after: avoid }
.sign { break-inside: avoid; display: flex; gap: 3em; margin-top: 4em }
.sign div { flex: 1; border-top: 1px solid #222; padding-top: .3em }
@media (max-width: 40em) {
  thead { display: none } tr { display: block; padding: .5em 0; border-bottom: 1px solid #ccc }
  td { display: block; border: 0; padding: .1em 0 }
}
@media print { @page { margin: 15mm } body { margin: 0; font-size: 11px; max-width: none } }
"""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """config: the site that was checked. switched: whether loads were; without it wiring is unchecked."""

    config: SiteConfig
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


def findings_to_read(findings: Sequence[Finding]) -> list[Finding]:
    """The worst first, otherwise as they were found; what is said alike of several is one: "station A, B"."""
    alike: dict[tuple[str, Finding], list[str]] = {}
    for finding in sorted(findings, key=lambda finding: ORDER.index(finding.status)):
        kind, _, id = finding.subject.rpartition(" ")
        alike.setdefault((kind, replace(finding, subject="")), []).append(id)
    return [replace(said, subject=f"{kind} {', '.join(ids)}".strip()) for (kind, said), ids in alike.items()]


def report_to_dict(report: CheckReport) -> dict[str, Any]:
    return {
        "site": report.config.site.id,
        "name": report.config.site.name,
        "started_at": report.started_at.isoformat(),
        "ended_at": report.ended_at.isoformat(),
        "version": report.version,
        "switched": report.switched,
        "faults": report.faults,
        "summary": report.summary,
        "findings": [asdict(finding) for finding in report.findings],
        "installation": [asdict(part) for part in installation(report.config)],
    }


def report_to_html(report: CheckReport) -> str:
    """A page to print, sign and keep, in the site's own time."""
    site, zone = report.config.site, ZoneInfo(report.config.site.timezone)
    started_at, ended_at = report.started_at.astimezone(zone), report.ended_at.astimezone(zone)
    span = f"{started_at:%Y-%m-%d %H:%M} to {ended_at:%H:%M} ({escape(site.timezone)})"
    switched = "Loads were switched." if report.switched else "Nothing was switched: the wiring is unchecked."
    found = "\n".join(_finding_row(finding) for finding in findings_to_read(report.findings))
    parts = "\n".join(_part_row(part) for part in installation(report.config))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Commissioning record, {escape(site.name)}</title>
<style>{_STYLE}</style></head><body>
<h1>Commissioning record</h1>
<p><strong>{escape(site.name)}</strong> ({escape(site.id)}), {span}, Helianthus {escape(report.version)}</p>
<p>{escape(report.summary)}. {switched}</p>
<table><thead><tr><th>Result</th><th>What</th><th>Check</th><th>Found</th><th>To do</th></tr></thead>
<tbody>
{found}
</tbody></table>
<h2>The site as described</h2>
<table><thead><tr><th>Part</th><th>Name</th><th>Description</th></tr></thead>
<tbody>
{parts}
</tbody></table>
<div class="sign"><div>Place, date</div><div>Installer</div><div>Owner</div></div>
</body></html>
"""


def _finding_row(finding: Finding) -> str:
    told = _cells(finding.subject, finding.check, finding.text, finding.advice)
    return f'<tr><td class="{finding.status}">{WORDS[finding.status]}</td>{told}</tr>'


def _part_row(part: Part) -> str:
    return f"<tr>{_cells(f'{part.kind} {part.id}', part.name, part.described)}</tr>"


def _cells(*texts: str) -> str:
    """`code` as the findings write it."""
    marked = (_CODE.sub(r"<code>\1</code>", escape(text)) for text in texts)
    return "".join(f"<td>{text}</td>" for text in marked)
