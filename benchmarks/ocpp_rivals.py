"""What our throughput is compared with: python -m benchmarks.ocpp_rivals stock|echo --port N

stock: the `ocpp` package's routing as its documentation shows it, without a database.
echo:  a bare `websockets` server that reads the JSON and sends it back.

Both as their documentation shows them, on asyncio's own event loop; with --uvloop on the loop that ours uses.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
from itertools import count
from typing import Any

import uvloop
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.datatypes import IdTagInfo
from ocpp.v16.enums import Action, AuthorizationStatus
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

_transaction_ids = count(1)


class StockChargePoint(ChargePoint):  # type: ignore[misc]
    @on(Action.meter_values)  # type: ignore[untyped-decorator]
    def on_meter_values(self, connector_id: int, meter_value: list[Any], **_: Any) -> call_result.MeterValues:
        return call_result.MeterValues()

    @on(Action.start_transaction)  # type: ignore[untyped-decorator]
    def on_start_transaction(self, **_: Any) -> call_result.StartTransaction:
        return call_result.StartTransaction(
            transaction_id=next(_transaction_ids), id_tag_info=IdTagInfo(status=AuthorizationStatus.accepted)
        )


async def stock(socket: ServerConnection) -> None:
    assert socket.request is not None
    with contextlib.suppress(ConnectionClosed):
        await StockChargePoint(socket.request.path.strip("/"), socket).start()


async def echo(socket: ServerConnection) -> None:
    async for frame in socket:
        await socket.send(json.dumps(json.loads(frame)))


async def run(kind: str, port: int) -> None:
    handler = {"stock": stock, "echo": echo}[kind]
    async with serve(
        handler, "127.0.0.1", port, subprotocols=[Subprotocol("ocpp1.6")], compression=None, backlog=1024
    ) as server:
        await server.serve_forever()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("kind", choices=("stock", "echo"))
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--uvloop", action="store_true")
    given = options.parse_args()
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("ocpp").setLevel(logging.WARNING)
    (uvloop.run if given.uvloop else asyncio.run)(run(given.kind, given.port))


if __name__ == "__main__":
    main()
