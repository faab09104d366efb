#!/usr/bin/env python3
"""What a message's time is made of: `ws13 serve echo`, ws13's owned messages and the two floors, sampled under load by `perf`.

    python3 bench/profile.py [SCENARIO...]     all of B C H D E C8 H8 D8 E8 F, unless some are named

Needs root or perf_event_paranoid <= 1, the programs of this directory built (`cargo build --release --manifest-path
bench/Cargo.toml`), and `cargo build --release` at the root, or WS13=path/to/ws13. Prints nanoseconds a message, medians of
three runs, by where the samples fell; tokio's code counts as ws13 where it is compiled for ws13's types, as a task is. The
samples themselves make a message some percent dearer than the benchmark has it.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

SCENARIOS = {
    "B": (100, 64, 1, "binary"),
    "C": (100, 64, 16, "binary"),
    "H": (100, 64, 64, "binary"),
    "D": (100, 1024, 4, "binary"),
    "E": (16, 16384, 2, "binary"),
    "C8": (100, 64, 16, "mixed"),
    "H8": (100, 64, 64, "mixed"),
    "D8": (100, 1024, 4, "mixed"),
    "E8": (16, 16384, 2, "mixed"),
    "F": (4, 1048576, 1, "binary"),
}
HERE = Path(__file__).resolve().parent
PROGRAMS = Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target")) / "release"
WS13 = os.environ.get("WS13", str(HERE.parent / "target" / "release" / "ws13"))
ROWS = {
    "floor": [str(PROGRAMS / "floor")],
    "raw-tokio": [str(PROGRAMS / "raw-tokio")],
    "ws13": [WS13, "serve", "echo", "--threads", "1"],
    "ws13-owned": [str(PROGRAMS / "ws13-echo"), "--owned"],
}
PARSE_NOTHING = ("floor", "raw-tokio")
PARTS = ("kernel", "ws13", "tokio", "libc", "rest")
RUNS, WARM_UP, WINDOW, SAMPLED, RATE = 3, 0.3, 2.0, 1.0, 9000


def part(shared_object, level, symbol):
    """Which part a sample belongs to."""
    if level == "k":
        return "kernel"
    if "libc" in shared_object:
        return "libc"
    if re.search(r"ws13|simdutf8|bytes::", symbol):
        return "ws13"
    return "tokio" if re.search(r"tokio|mio::", symbol) else "rest"


def address_of(server, output):
    """Where it says that it listens."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and server.poll() is None:
        if found := re.search(r"listening on .*?(127\.0\.0\.1:\d+)", Path(output).read_text()):
            return found[1]
        time.sleep(0.05)
    raise SystemExit(f"{' '.join(server.args)} does not listen: {Path(output).read_text()}")


def run(command):
    """What a program prints; its end, when it fails, is ours."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout


def sample(name, command, scenario):
    """Nanoseconds a message, by part."""
    connections, size, depth, kind = SCENARIOS[scenario]
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        data, said = f"{directory}/perf.data", f"{directory}/said"
        with open(said, "w") as output:
            command = ["taskset", "-c", "0", *command, "--listen", "127.0.0.1:0"]
            server = subprocess.Popen(command, stdout=output, stderr=output)
        stack.callback(end, server)
        load = [
            "taskset", "-c", "1", str(PROGRAMS / "load"), "--pid", str(server.pid),
            "--connect", address_of(server, said), "--connections", str(connections), "--size", str(size),
            "--depth", str(depth), "--kind", kind, "--warm-up", str(WARM_UP), "--window", str(WINDOW),
            *(["--masked-replies"] if name in PARSE_NOTHING else []),
        ]
        loading = subprocess.Popen(load, stdout=subprocess.PIPE, text=True)
        stack.callback(end, loading)
        time.sleep(WARM_UP + 0.2)
        run(["perf", "record", "-q", "-F", str(RATE), "-p", str(server.pid), "-o", data, "--", "sleep", str(SAMPLED)])
        found = loading.communicate()[0]
        if loading.returncode:
            raise SystemExit(f"the load on {name} failed")
        report = run(["perf", "report", "-i", data, "--no-children", "--sort", "dso,symbol"])
    nanoseconds = json.loads(found)["cpu_us_per_message"] * 1000
    shares = dict.fromkeys(PARTS, 0.0)
    for line in report.splitlines():
        if fields := re.match(r"\s+([\d.]+)%\s+(\S+)\s+\[(.)\]\s+(.*)", line):
            shares[part(*fields.groups()[1:])] += float(fields[1])
    total = sum(shares.values())
    if not total:
        raise SystemExit("perf gave no samples")
    return {name: share / total * nanoseconds for name, share in shares.items()} | {"all": nanoseconds}


def end(process):
    process.kill()
    process.wait()


def main():
    unknown = set(sys.argv[1:]) - set(SCENARIOS)
    if unknown:
        raise SystemExit(f"no scenario is called {', '.join(unknown)}: {' '.join(SCENARIOS)}")
    columns = (*PARTS, "all")
    print("| | |", " | ".join(columns), "| times the floor |")
    print("|---|---|" + "---:|" * (len(columns) + 1))
    for scenario in sys.argv[1:] or SCENARIOS:
        runs = {name: [] for name in ROWS}
        for _ in range(RUNS):
            for name, command in ROWS.items():
                runs[name].append(sample(name, command, scenario))
        for name, sampled in runs.items():
            figures = [statistics.median(run[column] for run in sampled) for column in columns]
            ratio = statistics.median(run["all"] / floor["all"] for run, floor in zip(sampled, runs["floor"]))
            print(f"| {scenario} | {name} |", " | ".join(f"{figure:,.0f}" for figure in figures), f"| {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
