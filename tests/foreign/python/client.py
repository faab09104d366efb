"""PyPI's `websockets` as a client against an echo server.

The server speaks `me-want-cookies` and takes messages of up to 1 MiB.

python client.py ws://127.0.0.1:PORT/
"""

import asyncio
import sys
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

SUBPROTOCOL = "me-want-cookies"
LIMIT = 1024 * 1024
PATIENCE = 15

URL = sys.argv[1]
CHECKS = []


def check(name):
    def add(body):
        CHECKS.append((name, body))
        return body

    return add


def dial(**options):
    return connect(URL, proxy=None, max_size=2 * LIMIT, **options)


async def echoes(*payloads, **options):
    """Sends each message alone and wants it back as it was."""
    async with dial(**options) as ws:
        for payload in payloads:
            await ws.send(payload)
            answer = await ws.recv()
            kinds = type(payload).__name__, type(answer).__name__
            assert kinds[0] == kinds[1], "a %s came back as a %s" % kinds
            assert answer == payload, "the payload differs"
    assert ws.close_code == 1000, f"closed with {ws.close_code}"


async def closing(ws):
    """Reads to the end; the code and reason of the Close frame that came, or Nones."""
    try:
        while True:
            await ws.recv()
    except ConnectionClosed as closed:
        return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (None, None)


def same(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


def pattern(size):
    return bytes(i * 31 % 256 for i in range(size))


@check("text comes back as text")
async def _():
    await echoes("hi", "grüße, 世界, 🍪")


@check("binary comes back as binary")
async def _():
    await echoes(b"\x00\x01\x02\xff")


@check("empty messages")
async def _():
    await echoes("", b"")


@check("125, 126, 127, 65535, 65536 bytes and 1 MiB")
async def _():
    for size in (125, 126, 127, 65535, 65536, LIMIT):
        await echoes(pattern(size), "x" * size)


@check("without an offer of permessage-deflate")
async def _():
    await echoes("plain", compression=None)


@check("fragments are joined")
async def _():
    async with dial() as ws:
        await ws.send(["one ", "", "two ", "three"])
        same(await ws.recv(), "one two three")
        await ws.send([b"\x00", b"\x01"])
        same(await ws.recv(), b"\x00\x01")


@check("a ping between two fragments is answered")
async def _():
    async with dial() as ws:
        pongs = []

        async def parts():
            yield "one "
            pongs.append(await ws.ping(b"between"))
            yield "two"

        await ws.send(parts())
        same(await ws.recv(), "one two")
        await pongs[0]


@check("a ping is answered with its payload")
async def _():
    async with dial() as ws:
        for payload in (b"", b"payload", b"x" * 125):
            # The future ends only with a pong of the same payload.
            await (await ws.ping(payload))


@check("an unsolicited pong is no matter")
async def _():
    async with dial() as ws:
        await ws.pong(b"nobody asked")
        await ws.send("still here")
        same(await ws.recv(), "still here")


@check("the subprotocol is agreed")
async def _():
    async with dial(subprotocols=["something-else", SUBPROTOCOL]) as ws:
        same(ws.subprotocol, SUBPROTOCOL)


@check("a close is answered with its code and reason")
async def _():
    async with dial() as ws:
        await ws.close(4001, "enough cookies")
    same((ws.protocol.close_rcvd.code, ws.protocol.close_rcvd.reason), (4001, "enough cookies"))


@check("a message over the limit ends in 1009")
async def _():
    async with dial() as ws:
        await ws.send(pattern(LIMIT + 1))
        same((await closing(ws))[0], 1009)


@check("fragments over the limit end in 1009")
async def _():
    async with dial(compression=None) as ws:
        await ws.send([pattern(LIMIT), b"x"])
        same((await closing(ws))[0], 1009)


@check("text that is no UTF-8 ends in 1007")
async def _():
    async with dial() as ws:
        await ws.send(b"a\xff", text=True)
        same((await closing(ws))[0], 1007)


@check("an unmasked frame ends in 1002")
async def _():
    async with dial() as ws:
        ws.transport.write(Frame(Opcode.TEXT, b"bare").serialize(mask=False))
        same((await closing(ws))[0], 1002)


@check("a foreign origin is refused with 403")
async def _():
    try:
        async with dial(origin="http://evil.example"):
            raise AssertionError("the handshake was accepted")
    except InvalidStatus as refused:
        same(refused.response.status_code, 403)


@check("our own origin is welcome")
async def _():
    await echoes("hi", origin=f"{URL.split(':')[0].replace('ws', 'http')}://{urlsplit(URL).netloc}")


@check("500 messages in one burst come back in order")
async def _():
    sent = [f"message {i} {'.' * i}" for i in range(500)]
    async with dial() as ws:

        async def send():
            for text in sent:
                await ws.send(text)

        sending = asyncio.create_task(send())
        same([await ws.recv() for _ in sent], sent)
        await sending


@check("20 connections at once")
async def _():
    await asyncio.gather(*(echoes("hi", pattern(70_000)) for _ in range(20)))


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
