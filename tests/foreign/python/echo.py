"""An echo server of PyPI's `websockets` with its default settings, for `cargo xtask check-peers`. Prints its port."""

import asyncio
import logging

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


async def main():
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    server = await serve(echo, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def echo(ws):
    try:
        async for message in ws:
            await ws.send(message)
    except ConnectionClosed:
        pass


asyncio.run(main())
