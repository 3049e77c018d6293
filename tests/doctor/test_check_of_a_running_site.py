"""The same check while the server controls the site: by the API over real HTTP, with live progress."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from planted import apartments, living
from sqlalchemy import select

from csms.app import App
from csms.clock import SystemClock
from csms.doctor import check_site
from csms.domain.check_report import CheckReport
from csms.domain.site import SiteConfig
from csms.errors import CsmsError
from csms.records import opened
from csms.settings import Settings
from csms.storage.tables import api_tokens
from simulation.building import Building, WiringFaults
from tests.api.api_builders import rest_client, serving
from tests.empty_database import migrated

SWAPPED = WiringFaults(relays={"io2/1": "io2/2", "io2/2": "io2/1"})


@dataclass
class Running:
    app: App
    building: Building
    site: SiteConfig
    port: int
    operator: httpx.AsyncClient
    viewer: httpx.AsyncClient

    def closed(self) -> set[str]:
        modules = self.building.relay_modules.items()
        return {f"{id}/{n}" for id, module in modules for n, on in enumerate(module.coils, 1) if on}

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Looked at with every decision."""
        async with self.app.events.subscribe("site.decided") as decided, asyncio.timeout(30):
            while not is_so():
                await decided.get()


@contextlib.asynccontextmanager
async def controlled(folder: Path, faults: WiringFaults | None = None) -> AsyncIterator[Running]:
    site = apartments()
    settings = Settings(
        data_dir=folder,
        ocpp_host="127.0.0.1",
        ocpp_port=0,
        _env_file=None,  # type: ignore[call-arg]
    )
    async with contextlib.AsyncExitStack() as stack:
        building, clock = await stack.enter_async_context(living(site, faults))
        app = App(settings, clock)
        migrated(settings.effective_database_url())
        await app.start(web=False)
        stack.push_async_callback(app.stop)
        await app.sites.apply(site)
        async with app.events.subscribe("site.decided") as decided:
            await asyncio.wait_for(decided.get(), 30)
        address = await stack.enter_async_context(serving(app.services()))
        clients = []
        for role in ("operator", "viewer"):
            token = await app.accounts.create_token("test", role)
            client = rest_client(f"{address}/api/v1/sites/lindenhof", token)
            clients.append(await stack.enter_async_context(client))
        yield Running(app, building, site, httpx.URL(address).port, *clients)


async def states(client: httpx.AsyncClient, check: str) -> AsyncIterator[dict]:
    async with client.stream("GET", f"/check/{check}/events") as told:
        assert told.status_code == 200
        async for line in told.aiter_lines():
            if line.startswith("data:"):
                yield json.loads(line.removeprefix("data:"))


async def test_the_check_is_started_followed_and_recorded_by_the_api(tmp_path):
    async with controlled(tmp_path, SWAPPED) as running:
        assert (await running.viewer.post("/check")).status_code == 403
        begun = await running.operator.post("/check")
        assert begun.status_code == 202, begun.text
        check = begun.json()["id"]
        again = await running.operator.post("/check", json={"switching": False})
        assert again.status_code == 409
        assert check in again.json()["detail"]
        told = [state async for state in states(running.viewer, check)]
        assert told[-1]["state"] == "done", told[-1]
        assert {"switching Boiler west", "switching Boiler east"} <= {s["doing"] for s in told}
        assert [s["done"] for s in told] == sorted(s["done"] for s in told)
        report = told[-1]["report"]
        faults = {f["subject"]: f["text"] for f in report["findings"] if f["status"] == "fault"}
        assert set(faults) == {"relay io2/1", "relay io2/2"}
        assert "switches Boiler east" in faults["relay io2/1"]
        stations = [f["status"] for f in report["findings"] if f["subject"].startswith("station ")]
        assert stations == ["warning"] * 8, "none is connected, and the server knows"
        assert (await running.viewer.get("/check")).json()["id"] == check
        record = await running.viewer.get(f"/check/{check}/record")
        assert "Commissioning record" in record.text
        lines = (await running.viewer.get("/live")).json()["lines"]
        assert [len(line["units"]) for line in lines] == [4]
        assert lines[0]["requests"] > 100
        assert (await running.viewer.get("/check/unknown/events")).status_code == 404


@pytest.mark.parametrize("how", ["by the API", "the site is removed", "the server stops"])
async def test_a_check_that_is_broken_off_leaves_no_load_on(tmp_path, how):
    async with controlled(tmp_path) as running:
        for appliance in ("pool-pump", "boiler", "boiler-west", "boiler-east", "heat-pump"):
            await running.app.sites.set_appliance_mode(appliance, "off", None, "lindenhof")
        await running.until(lambda: not running.closed())
        check = (await running.operator.post("/check")).json()["id"]
        async with asyncio.timeout(60):
            async for state in states(running.viewer, check):
                if state["doing"].startswith("switching") and state["state"] == "running":
                    break
            closed = asyncio.Event()
            for module in running.building.relay_modules.values():
                module.on_change = lambda number, on: closed.set() if on else None
            await closed.wait()
            if how == "by the API":
                assert (await running.operator.delete(f"/check/{check}")).status_code == 204
            elif how == "the site is removed":
                await running.app.sites.remove("lindenhof")
                async with running.app.events.subscribe("site.check") as told:
                    while running.app.checks.get("lindenhof", check).state == "running":
                        await told.get()
            else:
                await running.app.checks.stop()
        assert running.app.checks.get("lindenhof", check).state == "stopped"
        assert running.closed() == set()


async def test_meanwhile_the_controller_leaves_the_loads_alone(tmp_path):
    """All loads are set to "on": without the pause the controller would close them again each minute."""
    async with controlled(tmp_path) as running:
        for appliance in ("pool-pump", "boiler", "boiler-west", "boiler-east"):
            await running.app.sites.set_appliance_mode(appliance, "on", None, "lindenhof")
        check = (await running.operator.post("/check")).json()["id"]
        *_, state = [state async for state in states(running.viewer, check)]
        assert state["state"] == "done"
        findings = {(f["subject"], f["check"]): f["status"] for f in state["report"]["findings"]}
        assert findings["relay io2/1", "load"] == findings["relay io2/2", "load"] == "ok"
        everything = {"io1/2", "io1/3", "io1/4", "io2/1", "io2/2"}
        await running.until(lambda: running.closed() >= everything)


async def by_the_doctor(
    running: Running, folder: Path, site: SiteConfig | None = None, doing: list[str] | None = None, **how
) -> CheckReport:
    """`csms doctor` on the machine where the server runs."""
    settings = Settings(data_dir=folder, web_port=running.port, ocpp_port=0, _env_file=None)  # type: ignore[call-arg]
    steps = [] if doing is None else doing
    return await check_site(
        site or running.site,
        settings,
        SystemClock(),
        progress=lambda step: steps.append(step.doing),
        **{"switching": False, **how},
    )


async def test_the_doctor_does_not_fight_the_server_for_the_devices_but_has_it_check(tmp_path):
    doing: list[str] = []
    async with controlled(tmp_path, SWAPPED) as running:
        report = await by_the_doctor(running, tmp_path, doing=doing, switching=True)
        async with running.app.database.read() as conn:
            left = (await conn.execute(select(api_tokens.c.name))).scalars().all()
    assert {f.subject for f in report.findings if f.status == "fault"} == {"relay io2/1", "relay io2/2"}
    assert "switching Boiler west" in doing
    told = {(f.subject, f.check): f.text for f in report.findings}
    assert "held by a running server" in told["machine", f"port {running.port}"]
    assert told["station CP1", "connected"] == "not connected"
    assert "csms doctor" not in left, "its token was for this check only"


async def test_ctrl_c_at_the_doctor_breaks_the_servers_check_off(tmp_path):
    async with controlled(tmp_path) as running:
        for appliance in ("pool-pump", "boiler", "boiler-west", "boiler-east", "heat-pump"):
            await running.app.sites.set_appliance_mode(appliance, "off", None, "lindenhof")
        await running.until(lambda: not running.closed())
        closed = asyncio.Event()
        for module in running.building.relay_modules.values():
            module.on_change = lambda number, on: closed.set() if on else None
        checking = asyncio.create_task(by_the_doctor(running, tmp_path, switching=True))
        await asyncio.wait_for(closed.wait(), 60)
        checking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await checking
        assert running.app.checks.latest("lindenhof").state == "stopped"
        assert running.closed() == set()


async def test_the_doctor_says_why_the_server_does_not_check_what_the_file_says(tmp_path):
    async with controlled(tmp_path) as running:
        renamed = running.site.model_copy(
            update={"site": running.site.site.model_copy(update={"name": "Lindenhof 14"})}
        )
        report = await by_the_doctor(running, tmp_path, renamed)
        assert any("another description of this site" in f.text for f in report.findings)
        elsewhere = running.site.model_copy(
            update={"site": running.site.site.model_copy(update={"id": "elsewhere"})}
        )
        report = await by_the_doctor(running, tmp_path, elsewhere)
        assert any("it has no site 'elsewhere'" in f.text for f in report.findings)
        report = await by_the_doctor(running, tmp_path / "other", switching=True)
        assert not report.switched
        (devices,) = [f for f in report.findings if f.subject == "devices"]
        assert "csms.db does not exist" in devices.text
        assert "CSMS_DATA_DIR" in devices.advice
        stale = Settings(data_dir=tmp_path / "other", _env_file=None)  # type: ignore[call-arg]
        stale.data_dir.mkdir()
        async with opened(stale) as other:
            await other.sites.apply(running.site)
        report = await by_the_doctor(running, stale.data_dir)
        assert any("it does not know a token of" in f.text for f in report.findings)
        check = (await running.operator.post("/check")).json()["id"]
        with pytest.raises(CsmsError, match="is running already"):
            await by_the_doctor(running, tmp_path)
        await running.operator.delete(f"/check/{check}")
