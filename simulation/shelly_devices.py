"""Simulated Shellys of all generations on a real socket: HTTP with login, RPC over WebSocket, and faults."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from aiohttp import WSMsgType, web

from drivers.device import PhaseTriple

ShellyModel = Literal["pro_3em", "pro_em", "pro_4pm", "plug_gen3", "3em", "em", "1pm"]


@dataclass(frozen=True, slots=True)
class _Build:
    """What a model has: relays, and meters of one kind ("em" stands for three phases in one)."""

    name: str
    generation: int
    relays: int = 0
    inputs: int = 0
    meters: int = 0
    kind: Literal["em", "em1", "switch", "emeter", "meter"] = "switch"


_BUILDS: Mapping[ShellyModel, _Build] = {
    "pro_3em": _Build("SPEM-003CEBEU", 2, meters=1, kind="em"),
    "pro_em": _Build("SPEM-002CEBEU50", 2, relays=1, meters=2, kind="em1"),
    "pro_4pm": _Build("SPSW-104PE16EU", 2, relays=4, inputs=4, meters=4),
    "plug_gen3": _Build("S3PL-00112EU", 3, relays=1, meters=1),
    "3em": _Build("SHEM-3", 1, relays=1, meters=3, kind="emeter"),
    "em": _Build("SHEM", 1, relays=1, meters=2, kind="emeter"),
    "1pm": _Build("SHSW-PM", 1, relays=1, inputs=1, meters=1, kind="meter"),
}
_METHODS = (
    "Shelly.GetStatus",
    "Shelly.GetConfig",
    "Shelly.GetComponents",
    "Switch.Set",
    "Switch.GetStatus",
    "EM.GetStatus",
)


class SimulatedShelly:
    """unreachable: closes connections without a word. busy: so many requests are answered with 503.
    half_json: answers break off in the middle. ignores_timers: an old firmware. stuck: welded relays.
    """

    def __init__(
        self,
        model: ShellyModel,
        now: Callable[[], datetime],
        password: str | None = None,
        on_change: Callable[[int, bool], None] | None = None,
    ) -> None:
        self.build = _BUILDS[model]
        self.password, self.on_change = password, on_change
        self.unreachable = self.half_json = self.ignores_timers = False
        self.busy = 0
        self.stuck: set[int] = set()
        self.requests: list[str] = []
        self._now = now
        self._coils = [False] * self.build.relays
        self._inputs = [False] * self.build.inputs
        self._ends_at: dict[int, tuple[datetime, float]] = {}
        self._power_w = [0.0] * max(self.build.meters, 3)
        self._voltage_v: PhaseTriple = (230.0, 230.0, 230.0)
        self._wh = [0.0, 0.0]
        self._starts = 0

    @property
    def is_plain(self) -> bool:
        return self.build.generation == 1

    @property
    def nonce(self) -> str:
        return hashlib.sha256(f"{self.build.name}{self._starts}".encode()).hexdigest()[:32]

    @property
    def realm(self) -> str:
        return f"shelly{self.build.name.lower()}-aabbccddeeff"

    @property
    def coils(self) -> tuple[bool, ...]:
        self._let_time_act()
        return tuple(self._coils)

    def set(
        self,
        *,
        power_w: float | None = None,
        phase_power_w: PhaseTriple | None = None,
        voltage_v: PhaseTriple | None = None,
        import_wh: float | None = None,
        export_wh: float | None = None,
    ) -> None:
        """As `SimulatedMeter.set`; phase powers are those of channels 0 to 2."""
        if phase_power_w is not None:
            self._power_w[:3] = phase_power_w
        elif power_w is not None:
            shares = 3 if self.build.kind == "em" or self.build.meters == 3 else 1
            self._power_w[:shares] = [power_w / shares] * shares
        self._voltage_v = voltage_v or self._voltage_v
        for i, wh in enumerate((import_wh, export_wh)):
            self._wh[i] = self._wh[i] if wh is None else wh

    def set_channel(self, channel: int, power_w: float) -> None:
        self._power_w[channel] = power_w

    def set_input(self, number: int, active: bool) -> None:
        """number: 1 is the first."""
        self._inputs[number - 1] = active

    def restart(self) -> None:
        """Supply off and on again: relays open, timers and login challenges are forgotten."""
        self._starts += 1
        for number in range(1, self.build.relays + 1):
            self._switch(number, False)

    def command(self, channel: int, on: bool, timer_s: float | None) -> dict[str, Any]:
        """Returns the state before."""
        self._let_time_act()
        was_on = self._coils[channel]
        self._switch(channel + 1, on)
        if timer_s is not None and not self.ignores_timers:
            self._ends_at[channel + 1] = (self._now() + timedelta(seconds=timer_s), timer_s)
        return {"was_on": was_on}

    def _switch(self, number: int, on: bool) -> None:
        self._ends_at.pop(number, None)
        if number in self.stuck or self._coils[number - 1] == on:
            return
        self._coils[number - 1] = on
        if self.on_change:
            self.on_change(number, on)

    def _let_time_act(self) -> None:
        for number in [n for n, (at, _) in self._ends_at.items() if at <= self._now()]:
            self._switch(number, not self._coils[number - 1])

    def status(self) -> dict[str, Any]:
        """What Shelly.GetStatus tells, or /status of generation 1."""
        self._let_time_act()
        return self._plain_status() if self.is_plain else self._rpc_status()

    def _plain_status(self) -> dict[str, Any]:
        kind = self.build.kind
        meters = [self._plain_meter(n) for n in range(self.build.meters)]
        return {
            "relays": [self.plain_relay(n) for n in range(self.build.relays)],
            "inputs": [{"input": int(active), "event": "", "event_cnt": 0} for active in self._inputs],
            "emeters" if kind == "emeter" else "meters": meters,
            "uptime": 4711,
        }

    def _plain_meter(self, channel: int) -> dict[str, Any]:
        power_w, volt_v = self._power_w[channel], self._voltage_v[channel % 3]
        if self.build.kind == "meter":  # it counts watt-minutes
            total = int(self._wh[0] * 60)
            return {"power": abs(power_w), "overpower": 0.0, "is_valid": True, "total": total}
        share = self.build.meters
        return {
            "power": power_w,
            "pf": 0.98,
            "current": abs(power_w) / volt_v,
            "voltage": volt_v,
            "is_valid": True,
            "total": self._wh[0] / share,
            "total_returned": self._wh[1] / share,
        }

    def plain_relay(self, channel: int) -> dict[str, Any]:
        self._let_time_act()
        at, duration = self._ends_at.get(channel + 1, (None, 0.0))
        left_s = (at - self._now()).total_seconds() if at else 0
        return {
            "ison": self._coils[channel],
            "has_timer": at is not None,
            "timer_duration": int(duration),
            "timer_remaining": int(left_s),
            "source": "http",
        }

    def _rpc_status(self) -> dict[str, Any]:
        parts: dict[str, Any] = {"sys": {"mac": "AABBCCDDEEFF", "restart_required": False}, "wifi": {}}
        for n, active in enumerate(self._inputs):
            parts[f"input:{n}"] = {"id": n, "state": active}
        for n in range(self.build.relays):
            parts[f"switch:{n}"] = self.rpc_switch(n)
        if self.build.kind == "em":
            parts["em:0"], parts["emdata:0"] = self._em(), self._energies(0)
        if self.build.kind == "em1":
            for n in range(self.build.meters):
                parts[f"em1:{n}"] = {"id": n, **self._measured("act_power", n), "calibration": "factory"}
                parts[f"em1data:{n}"] = {
                    "id": n,
                    "total_act_energy": self._wh[0],
                    "total_act_ret_energy": self._wh[1],
                }
        return parts

    def _em(self) -> dict[str, Any]:
        phases = {
            f"{phase}_{key}": value
            for n, phase in enumerate("abc")
            for key, value in self._measured("act_power", n).items()
        }
        amps = sum(abs(w) / v for w, v in zip(self._power_w, self._voltage_v, strict=False))
        return {
            "id": 0,
            **phases,
            "n_current": None,
            "total_current": amps,
            "total_act_power": sum(self._power_w[:3]),
        }

    def _energies(self, id: int) -> dict[str, Any]:
        return {"id": id, "total_act": self._wh[0], "total_act_ret": self._wh[1]}

    def _measured(self, power_key: str, channel: int) -> dict[str, float]:
        power_w, volt_v = self._power_w[channel], self._voltage_v[channel % 3]
        return {
            power_key: power_w,
            "voltage": volt_v,
            "current": abs(power_w) / volt_v,
            "pf": 0.98,
            "freq": 50.0,
        }

    def rpc_switch(self, channel: int) -> dict[str, Any]:
        self._let_time_act()
        part: dict[str, Any] = {"id": channel, "source": "HTTP_in", "output": self._coils[channel]}
        if (timer := self._ends_at.get(channel + 1)) is not None:
            part["timer_started_at"] = (timer[0] - timedelta(seconds=timer[1])).timestamp()
            part["timer_duration"] = timer[1]
        if self.build.kind == "switch":
            part |= self._measured("apower", channel)
            part["aenergy"] = {"total": self._wh[0] + self._wh[1], "by_minute": [0.0], "minute_ts": 0}
            part["ret_aenergy"] = {"total": self._wh[1], "by_minute": [0.0], "minute_ts": 0}
        return part

    def info(self) -> dict[str, Any]:
        if self.is_plain:
            return {"type": self.build.name, "mac": "AABBCCDDEEFF", "auth": self.password is not None}
        return {
            "name": None,
            "id": self.realm,
            "mac": "AABBCCDDEEFF",
            "slot": 0,
            "model": self.build.name,
            "gen": self.build.generation,
            "fw_id": "20260610-090000/1.7.0-g0000000",
            "ver": "1.7.0",
            "app": "Pro",
            "auth_en": self.password is not None,
            "auth_domain": self.realm if self.password is not None else None,
        }

    def call(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """An RPC. Raises LookupError: unknown method or channel."""
        match method:
            case "Shelly.GetDeviceInfo":
                return self.info()
            case "Shelly.GetStatus":
                return self.status()
            case "Shelly.GetConfig":
                return {"sys": {"device": {"name": None}}, "wifi": {}} | {
                    key: {"id": int(key.split(":")[1]), "name": None} for key in self.status() if ":" in key
                }
            case "Shelly.GetComponents":  # those that a user added
                return {"components": [], "cfg_rev": 1, "offset": 0, "total": 0}
            case "Shelly.ListMethods":
                return {"methods": list(_METHODS)}
            case "Switch.Set":
                return self.command(int(params["id"]), bool(params["on"]), params.get("toggle_after"))
            case "Switch.GetStatus":
                return self.rpc_switch(int(params["id"]))
            case "EM.GetStatus" if self.build.kind == "em":
                return self._em()
        raise LookupError(f"No handler for {method}")


class ShellyServer:
    """One Shelly at one address. port 0 takes a free one; `port` tells which, and stays over a restart."""

    def __init__(self, host: str, port: int, shelly: SimulatedShelly) -> None:
        self.host, self.port, self.shelly = host, port, shelly
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(middlewares=[self._misbehave])
        app.router.add_get("/shelly", self._info)
        app.router.add_get("/status", self._status)
        app.router.add_get("/relay/{channel}", self._relay)
        app.router.add_get("/rpc", self._socket)
        app.router.add_get("/rpc/{method}", self._rpc)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _misbehave(self, request: web.Request, handler: Any) -> web.StreamResponse:
        shelly = self.shelly
        shelly.requests.append(request.path_qs)
        if shelly.unreachable and request.transport is not None:
            request.transport.close()
            return web.Response(status=500)
        if shelly.busy > 0:
            shelly.busy -= 1
            return web.Response(status=503, text="Too many requests")
        is_open = request.path in ("/shelly", "/rpc", "/rpc/Shelly.GetDeviceInfo")
        if not is_open and (refusal := self._refusal(request)) is not None:
            return refusal
        answer: web.StreamResponse = await handler(request)
        if shelly.half_json and isinstance(answer, web.Response) and answer.text:
            return web.Response(text=answer.text[: len(answer.text) // 2], content_type="application/json")
        return answer

    def _refusal(self, request: web.Request) -> web.Response | None:
        shelly, given = self.shelly, request.headers.get("Authorization", "")
        if shelly.password is None:
            return None
        if shelly.is_plain:
            wanted = "Basic " + base64.b64encode(f"admin:{shelly.password}".encode()).decode()
            if given == wanted:
                return None
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="shelly"'})
        if given.startswith("Digest ") and self._fits(given.removeprefix("Digest "), request):
            return None
        challenge = f'Digest qop="auth", realm="{shelly.realm}", nonce="{shelly.nonce}", algorithm=SHA-256'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    def _fits(self, given: str, request: web.Request) -> bool:
        """RFC 7616 with qop auth."""
        told = {k.strip(): v.strip().strip('"') for k, _, v in (p.partition("=") for p in given.split(", "))}
        if told.get("nonce") != self.shelly.nonce or told.get("uri") != request.path_qs:
            return False
        ha1 = _sha256(f"admin:{self.shelly.realm}:{self.shelly.password}")
        ha2 = _sha256(f"{request.method}:{request.path_qs}")
        parts = (ha1, told["nonce"], told["nc"], told["cnonce"], told["qop"], ha2)
        return told.get("response") == _sha256(":".join(parts))

    async def _info(self, request: web.Request) -> web.Response:
        return web.json_response(self.shelly.info())

    async def _status(self, request: web.Request) -> web.Response:
        return web.json_response(self.shelly.status()) if self.shelly.is_plain else web.Response(status=404)

    async def _relay(self, request: web.Request) -> web.Response:
        channel = int(request.match_info["channel"])
        if not self.shelly.is_plain or channel >= len(self.shelly.coils):
            return web.Response(status=404, text="Not Found")
        if (turn := request.query.get("turn")) is not None:
            timer = request.query.get("timer")
            self.shelly.command(channel, turn == "on", float(timer) if timer else None)
        return web.json_response(self.shelly.plain_relay(channel))

    async def _rpc(self, request: web.Request) -> web.Response:
        params = {key: json.loads(value) for key, value in request.query.items()}
        try:
            return web.json_response(self.shelly.call(request.match_info["method"], params))
        except (LookupError, ValueError) as fault:
            return web.json_response({"code": 404, "message": str(fault)}, status=404)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        """RPC frames as JSON. A password is not asked for here."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            frame = json.loads(message.data)
            answer = {"id": frame["id"], "src": self.shelly.realm, "dst": frame["src"]}
            try:
                answer["result"] = self.shelly.call(frame["method"], frame.get("params") or {})
            except (LookupError, ValueError) as fault:
                answer["error"] = {"code": 404, "message": str(fault)}
            await socket.send_json(answer)
        return socket


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
