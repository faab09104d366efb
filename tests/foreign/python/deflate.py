"""PyPI's `websockets` and compressed messages, both ways: as a client of `ws13 serve echo --compress`, and as a server of
`ws13 connect --compress`.

python deflate.py ws://127.0.0.1:PORT/ PATH-OF-ws13
"""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)

LIMIT = 1024 * 1024
PATIENCE = 60
URL, WS13 = sys.argv[1:]
CHECKS = []

# What each side asks for, by the names that both of its factories have.
SETTINGS = [
    {},
    {"server_max_window_bits": 9, "client_max_window_bits": 9},
    {"server_max_window_bits": 12, "client_max_window_bits": 15},
    {"server_no_context_takeover": True},
    {"client_no_context_takeover": True},
    {"server_no_context_takeover": True, "client_no_context_takeover": True},
]


def check(name):
    def add(body):
        CHECKS.append((name, body))
        return body

    return add


def json(length, seed=0):
    rows = (
        '{"id":%d,"name":"sensor-%d","value":%d,"tags":["a","room"]},' % (i * 7919, i % 13, i * 37 % 1000)
        for i in range(seed, seed + 1 + length // 40)
    )
    return "".join(rows)[:length]


def payloads():
    noise = bytes((i * i * 7919 >> 5) % 256 for i in range(5000))
    return ["", "hi", json(64), json(264), json(264), "grüße, 世界, 🍪" * 50, noise, json(20_000), "x" * LIMIT, json(264)]


def agreed(ws):
    """The extension in use."""
    (extension,) = ws.protocol.extensions
    assert isinstance(extension, PerMessageDeflate), extension
    return extension


def client_of(settings):
    async def body():
        offer = ClientPerMessageDeflateFactory(**{"client_max_window_bits": True, **settings})
        async with connect(URL, proxy=None, max_size=2 * LIMIT, compression=None, extensions=[offer]) as ws:
            extension = agreed(ws)
            if "server_max_window_bits" in settings:
                assert extension.remote_max_window_bits <= settings["server_max_window_bits"], extension
            assert extension.remote_no_context_takeover == settings.get("server_no_context_takeover", False)
            for payload in payloads():
                await ws.send(payload)
                assert await ws.recv() == payload, "the payload differs"
            await ws.send([json(100), "", json(5000)])
            assert await ws.recv() == json(100) + json(5000)
            sent = [json(20 * i, i) for i in range(200)]
            for text in sent:
                await ws.send(text)
            assert [await ws.recv() for _ in sent] == sent
        assert ws.close_code == 1000, f"closed with {ws.close_code}"

    return body


def server_of(settings):
    async def body():
        seen = []

        async def echo(ws):
            seen.append(agreed(ws))
            try:
                async for message in ws:
                    await ws.send(message)
            except ConnectionClosed:
                pass

        accept = ServerPerMessageDeflateFactory(**settings)
        async with serve(echo, "127.0.0.1", 0, compression=None, extensions=[accept], max_size=2 * LIMIT) as server:
            port = server.sockets[0].getsockname()[1]
            lines = [text for text in payloads() if isinstance(text, str) and text]
            ours = await asyncio.create_subprocess_exec(
                WS13, "connect", "--compress", "--count", str(len(lines)), f"ws://127.0.0.1:{port}/",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            text = "".join(line + "\n" for line in lines)
            out, _ = await ours.communicate(text.encode())
            assert ours.returncode == 0, f"it ended with {ours.returncode}"
            assert out.decode() == text, "the lines came back otherwise"
            assert len(seen) == 1, "the extension was agreed"

    return body


for settings in SETTINGS:
    check(f"as a client that offers {settings}")(client_of(settings))
    check(f"as a server that is set to {settings}")(server_of(settings))


@check("a bomb ends in 1009")
async def _():
    async with connect(URL, proxy=None) as ws:
        agreed(ws)
        await ws.send(bytes(16 * LIMIT))
        try:
            await ws.recv()
        except ConnectionClosed as closed:
            assert closed.rcvd.code == 1009, closed


async def main():
    failed = 0
    for name, body in CHECKS:
        try:
            await asyncio.wait_for(body(), PATIENCE)
            print(f"ok - {name}")
        except TimeoutError:
            failed += 1
            print(f"not ok - {name}: nothing for {PATIENCE} s")
        except Exception as error:
            failed += 1
            why = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"not ok - {name}: {why[:500]}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return failed


sys.exit(1 if asyncio.run(main()) else 0)
