"""An echo server of PyPI's `websockets`, for `ws13 connect` to talk to.

Prints its port, then serves until it is killed.

/                       echoes every message
/close?code=N&reason=T  closes at once with that code and reason
/subprotocol            tells the agreed subprotocol in a first message, then echoes
/refuse                 answers the handshake with 401 and a body
/hang                   never answers the handshake
/abrupt                 ends TCP without a Close frame
/violate                sends a frame with RSV2 set, which nothing allows

Over TLS where the environment names TLS_CERT and TLS_KEY, two PEM files.
"""

import asyncio
import os
import ssl
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

SUBPROTOCOL = "me-want-cookies"
LIMIT = 1024 * 1024


async def main():
    server = await serve(
        echo,
        "127.0.0.1",
        0,
        process_request=refuse_or_hang,
        select_subprotocol=choose,
        max_size=LIMIT,
        ssl=encryption(),
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def encryption():
    if "TLS_CERT" not in os.environ:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
    return context


async def echo(ws):
    url = urlsplit(ws.request.path)
    if url.path == "/close":
        query = parse_qs(url.query)
        return await ws.close(int(query["code"][0]), query["reason"][0])
    if url.path == "/abrupt":
        return ws.transport.close()
    if url.path == "/violate":
        ws.transport.write(b"\xa1\x01a")
    if url.path == "/subprotocol":
        await ws.send(ws.subprotocol or "")
    try:
        async for message in ws:
            await ws.send(message)
    except ConnectionClosed:
        pass


async def refuse_or_hang(connection, request):
    path = urlsplit(request.path).path
    if path == "/refuse":
        return connection.respond(401, "no cookie, no entry")
    if path == "/hang":
        await asyncio.Event().wait()
    if request.headers.get("Origin", own := f"http://{request.headers['Host']}") != own:
        return connection.respond(403, "foreign origin")


def choose(_connection, offered):
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


asyncio.run(main())
