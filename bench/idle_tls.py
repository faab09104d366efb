"""What an idle connection by TLS costs `ws13 serve`: resident memory, of a thousand that have said one thing.

    python3 bench/idle_tls.py target/release/ws13 [CONNECTIONS]

The same without TLS beside it, so that the difference is that of TLS. Linux only: it reads /proc.
"""

import os
import re
import resource
import socket
import ssl
import subprocess
import sys
import time

COMMAND = sys.argv[1]
CONNECTIONS = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
# A masked text message of 64 bytes, with the mask 0.
MESSAGE = b"\x81\xc0\0\0\0\0" + b"x" * 64
# Pings would wake them.
OPTIONS = ["serve", "--threads", "1", "--ping-interval", "off", "--listen", "127.0.0.1:0"]


def serve(*options):
    process = subprocess.Popen([COMMAND, *OPTIONS, *options], stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    return process, int(re.search(r"127\.0\.0\.1:(\d+)", line).group(1))


def resident(process):
    with open(f"/proc/{process.pid}/smaps_rollup") as file:
        return int(re.search(r"^Private_Dirty:\s+(\d+) kB", file.read(), re.M).group(1)) * 1024


def connect(port, context):
    stream = socket.create_connection(("127.0.0.1", port))
    if context:
        stream = context.wrap_socket(stream, server_hostname="localhost")
    stream.sendall(
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += stream.recv(4096)
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    stream.sendall(MESSAGE)
    assert len(stream.recv(4096)) == 66
    return stream


def measure(name, context, *options):
    process, port = serve(*options)
    try:
        # The first few pay for what all share.
        warm = [connect(port, context) for _ in range(20)]
        time.sleep(1)
        before = resident(process)
        idle = [connect(port, context) for _ in range(CONNECTIONS)]
        time.sleep(2)
        each = (resident(process) - before) / CONNECTIONS
        print(f"{name}: {each:.0f} bytes each, of {len(idle)}")
        del warm
    finally:
        process.kill()
        process.wait()


def context(version):
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.minimum_version = made.maximum_version = version
    return made


_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, CONNECTIONS + 200), most))
measure("plain", None)
measure("TLS 1.3", context(ssl.TLSVersion.TLSv1_3), "--tls")
measure("TLS 1.2", context(ssl.TLSVersion.TLSv1_2), "--tls")
