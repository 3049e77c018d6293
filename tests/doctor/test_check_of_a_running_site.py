"""The same check while the server controls the site: by the API over real HTTP, with live progress."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from planted import apartments, living

from csms.api.application import create_api
from csms.app import App
from csms.domain.site import SiteConfig
from csms.settings import Settings
from simulation.building import Building, WiringFaults

SWAPPED = WiringFaults(relays={"io2/1": "io2/2", "io2/2": "io2/1"})


@dataclass
class Running:
    app: App
    building: Building
    site: SiteConfig
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
        await app.start(web=False)
        stack.push_async_callback(app.stop)
        await app.sites.apply(site)
        async with app.events.subscribe("site.decided") as decided:
            await asyncio.wait_for(decided.get(), 30)
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        config = uvicorn.Config(create_api(app.services()), log_level="warning", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        clients = []
        for role in ("operator", "viewer"):
            token = await app.accounts.create_token("test", role)
            client = httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{listening.getsockname()[1]}/api/v1/sites/lindenhof",
                headers={"Authorization": f"Bearer {token}"},
                trust_env=False,
                timeout=60,
            )
            clients.append(await stack.enter_async_context(client))
        try:
            yield Running(app, building, site, *clients)
        finally:
            server.should_exit = True
            await serving


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
