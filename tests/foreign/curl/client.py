"""libcurl's WebSocket as a client of our echo server, plain and by TLS.

PyPI's `pycurl` has a libcurl of its own in it, built with ws and wss, which Debian's may be without.

python client.py ws://127.0.0.1:PORT/ wss://127.0.0.1:PORT/ CA.pem
"""

import select
import struct
import sys
import time

import pycurl

PATIENCE = 15
PLAIN, SECURE, CA = sys.argv[1:]
CHECKS = []


def check(name):
    def add(body):
        CHECKS.append((name, body))
        return body

    return add


class Socket:
    """A connection whose opening handshake libcurl has done."""

    def __init__(self, url, *headers):
        self.curl = pycurl.Curl()
        self.curl.setopt(pycurl.URL, url)
        self.curl.setopt(pycurl.CAINFO, CA)
        self.curl.setopt(pycurl.NOPROXY, "*")
        self.curl.setopt(pycurl.CONNECT_ONLY, 2)
        self.curl.setopt(pycurl.TIMEOUT, PATIENCE)
        self.curl.setopt(pycurl.HTTPHEADER, list(headers))
        self.answered = []
        self.curl.setopt(pycurl.HEADERFUNCTION, self.answered.append)
        self.curl.perform()
        self.stream = self.curl.getinfo(pycurl.ACTIVESOCKET)

    def again(self, call, write=False):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return call()
            except BlockingIOError:
                left = end - time.monotonic()
                assert left > 0, "nothing came in time"
                waiting = [self.stream]
                select.select([] if write else waiting, waiting if write else [], [], left)

    def send(self, payload, flags=None):
        """All of it: libcurl may take a part of a long one, and wants the rest again with the same flags."""
        data = payload.encode() if isinstance(payload, str) else payload
        kind = pycurl.WS_TEXT if isinstance(payload, str) else pycurl.WS_BINARY
        flags = flags or kind
        sent = self.again(lambda: self.curl.ws_send(data, flags), write=True)
        while sent < len(data):
            rest = data[sent:]
            sent += self.again(lambda: self.curl.ws_send(rest, flags), write=True)

    def receive(self):
        """The next frame: its flags and its payload."""
        payload = b""
        while True:
            data, meta = self.again(lambda: self.curl.ws_recv(65536))
            payload += data
            if meta.bytesleft == 0:
                return meta.flags, payload

    def close(self, code=1000, reason=b""):
        self.send(struct.pack("!H", code) + reason, pycurl.WS_CLOSE)
        flags, payload = self.receive()
        assert flags & pycurl.WS_CLOSE, f"flags {flags} in place of a Close"
        self.curl.close()
        return payload


def echoes(url):
    socket = Socket(url)
    for size in (0, 1, 125, 126, 65535, 65536, 900_000):
        sent = bytes(i * 31 % 256 for i in range(size))
        socket.send(sent)
        flags, came = socket.receive()
        assert flags & pycurl.WS_BINARY and came == sent, f"{size} bytes came back otherwise"
    for text in ("hi", "grüße, 世界, 🍪"):
        socket.send(text)
        flags, came = socket.receive()
        assert flags & pycurl.WS_TEXT and came.decode() == text, came
    assert socket.close(1000, b"bye") == struct.pack("!H", 1000) + b"bye"


@check("messages of all sizes come back")
def _():
    echoes(PLAIN)


@check("and by TLS")
def _():
    echoes(SECURE)


@check("a Ping is answered with its payload")
def _():
    socket = Socket(PLAIN)
    socket.send(b"are you there?", pycurl.WS_PING)
    flags, payload = socket.receive()
    assert flags & pycurl.WS_PONG and payload == b"are you there?", (flags, payload)
    socket.close()


@check("a message in fragments comes back whole")
def _():
    socket = Socket(PLAIN)
    socket.send(b"one, ", pycurl.WS_TEXT | pycurl.WS_CONT)
    socket.send(b"two, ", pycurl.WS_TEXT | pycurl.WS_CONT)
    socket.send(b"three", pycurl.WS_TEXT)
    flags, came = socket.receive()
    assert came == b"one, two, three", came
    socket.close()


@check("a Close is answered with its own code and reason")
def _():
    assert Socket(PLAIN).close(4001, b"enough") == struct.pack("!H", 4001) + b"enough"


@check("a foreign page is refused with 403")
def _():
    try:
        Socket(PLAIN, "Origin: http://evil.example")
    except pycurl.error as error:
        assert "403" in str(error), error
    else:
        raise AssertionError("it was let in")


@check("who does not know the issuer ends it")
def _():
    global CA
    known, CA = CA, "/dev/null"
    try:
        Socket(SECURE)
    except pycurl.error as error:
        assert error.args[0] in (pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE), error
    else:
        raise AssertionError("it trusts anybody")
    finally:
        CA = known


print(pycurl.version.split()[1])
failed = 0
for name, body in CHECKS:
    try:
        body()
        print(f"ok - {name}")
    except Exception as error:  # one failure does not hide the others
        failed += 1
        print(f"not ok - {name}: {error!r}")
print(f"{len(CHECKS) - failed} passed, {failed} failed")
sys.exit(1 if failed or not CHECKS else 0)
