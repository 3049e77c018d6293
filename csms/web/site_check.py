"""On the site's page: start the check of devices and wiring, watch it, and read what was found."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from nicegui import events, ui

from csms.domain.check_report import WORDS, findings_to_read, report_to_html
from csms.domain.site import SiteInfo
from csms.errors import CsmsError
from csms.services.bundle import Services
from csms.services.site_checks import SiteCheckState
from csms.web.elements import Tag
from csms.web.wording import sentence

ASK = (
    "Loads behind relays are switched on and off for some seconds, two to four times each, and cars that "
    "charge are held back as often. Nobody may work on them now. Afterwards everything is as before. Start?"
)


class CheckCard:
    """`show` follows the latest check; only those who may switch see the buttons."""

    def __init__(self, services: Services, site: SiteInfo, may_switch: bool) -> None:
        self._services, self._site_id, self._may_switch = services, site.id, may_switch
        self._timezone = site.timezone
        self._shown: SiteCheckState | None = None
        with Tag("div", classes="check"):
            self._start = Tag("button", "Check devices and wiring", classes="action", type="button")
            self._start.on("click", self._begin, args=[], js_handler=f"() => confirm({ASK!r}) && emit()")
            self._stop = Tag("button", "Break off", classes="action", type="button")
            self._stop.on("click", self._end, args=[])
            self._record = Tag("button", "Save the record", classes="quiet-button", type="button")
            self._record.on("click", self._save, args=[])
            self._bar = Tag("progress", max="1", value="0", aria_label="Progress of the check")
            self._said = Tag("p", classes="quiet-line", role="status", aria_live="polite")
            self._found = Tag("ul", classes="found", aria_label="What the check found")
        self._draw(None)

    def show(self) -> None:
        state = self._services.checks.latest(self._site_id)
        if state is not self._shown:
            self._draw(state)

    def _draw(self, state: SiteCheckState | None) -> None:
        self._shown = state
        is_running = state is not None and state.state == "running"
        self._start.show(self._may_switch and not is_running)
        self._stop.show(self._may_switch and is_running)
        self._bar.show(is_running)
        self._record.show(state is not None and state.report is not None)
        self._said.say(state_in_words(state, self._timezone))
        if state is not None and state.total:
            self._bar.put(max=str(state.total), value=str(state.done))
        self._found.clear()
        if state is not None and state.report is not None:
            with self._found:
                for finding in findings_to_read(state.report.findings):
                    if finding.status != "ok":
                        said = f"{WORDS[finding.status]}, {finding.subject}: {finding.text}."
                        text = f"{said} {sentence(finding.advice)}." if finding.advice else said
                        Tag("li", text, classes=f"finding {finding.status}")

    def _begin(self, _: events.GenericEventArguments) -> None:
        try:
            self._services.checks.start(self._site_id, switching=True)
        except CsmsError as refusal:
            ui.notify(sentence(str(refusal)), type="negative")
        self.show()

    async def _end(self, _: events.GenericEventArguments) -> None:
        if self._shown is not None:
            await self._services.checks.end(self._site_id, self._shown.id)
        self.show()

    def _save(self, _: events.GenericEventArguments) -> None:
        if self._shown is not None and self._shown.report is not None:
            name = f"commissioning-{self._site_id}-{self._shown.started_at:%Y%m%d-%H%M}.html"
            ui.download.content(report_to_html(self._shown.report), name)


def state_in_words(state: SiteCheckState | None, timezone: str) -> str:
    """In the site's own time."""
    if state is None:
        return ""
    started_at = state.started_at.astimezone(ZoneInfo(timezone))
    if state.state == "running":
        return f"Step {state.done + 1} of {state.total}: {state.doing} …" if state.total else "Starting …"
    if state.report is not None:
        return f"Checked {started_at:%Y-%m-%d %H:%M}: {state.report.summary}."
    if state.state == "stopped":
        return f"The check of {started_at:%H:%M} was broken off."
    return f"The check of {started_at:%H:%M} failed: {state.problem}"
