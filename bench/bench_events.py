"""Section `events` of bench.py: the event log of an instance with 1,000 services, and its writer alone."""
import json
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from subjects import AbideLean, Slots

MANY, SUBSCRIBERS, READERS, BARE, PACED = 1000, 1000, 64, 250, 4500


class AbideInMemory(AbideLean):
    """The runtime folder in memory, as /run is on a machine that is not a test box."""
    name, place = "abide, lean, runtime in memory", None

    def prepare(self):
        super().prepare()
        toml = self.folder / "abide.toml"
        toml.write_text(f'[project]\nruntime = "{self.place}/run"\n' + toml.read_text())


def tool(bench, *words):
    done = subprocess.run([bench.events_tool, *map(str, words)], capture_output=True, text=True, timeout=120, check=True)
    return [float(word) for word in done.stdout.split()]


def in_memory(bench, *words):
    """The tool on a new folder in /dev/shm."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="abide-bench-") as folder:
        return tool(bench, words[0], folder, *words[1:])


def subscribe(path):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    call = {"method": "io.abide.Control.Subscribe", "more": True, "parameters": {}}
    connection.sendall(json.dumps(call).encode() + b"\0")
    return connection


def ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def section_events(bench, seconds=5):
    bench.heading("the event log: its writer alone, in /dev/shm")
    single, batched = in_memory(bench, "append", 400_000)
    bench.row("append, one a batch", f"{single:.0f}/s")
    bench.row("append, 100 a batch", f"{batched:.0f}/s")
    bench.judge("append, one event a batch, us each", 1e6 / single, 5)
    times = in_memory(bench, "paced", PACED, READERS)
    bench.row("one append, 250 a second", "median", "99 %", "longest")
    for name, part in (("no readers", times[:3]), (f"{READERS} readers that follow", times[3:6])):
        bench.row(name, *(f"{value:.1f} us" for value in part))
    killed, exact = map(int, times[6:])
    bench.row(f"  one stopped for half, {killed} killed", f"{exact} saw it exactly")
    bench.judge(f"append 99 %, {READERS} readers ÷ none", times[4] / times[1], 1.1)
    bench.judge("readers that were not killed and did not see the log exactly", READERS - killed - exact, 0)

    bench.heading(f"events of {MANY} services (lean): exit_group(2) -> line of process.exited in a reader")
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="abide-bench-") as AbideInMemory.place:
        os.chmod(AbideInMemory.place, 0o755)
        measure_instance(bench, seconds)


def measure_instance(bench, seconds):
    subject = bench.subject(AbideInMemory, MANY)
    subject.start()
    time.sleep(1)
    places = subject.places
    bare = Path(AbideInMemory.place, "bare")
    bare.mkdir()
    Slots(bare / "slots", 2 * BARE)
    times = tool(bench, "exits", places["events"], MANY, subject.slots.path, bench.tools[0], bare)
    bench.row("", "median", "99 %", "longest")
    for index, name in enumerate(("exit to subscriber", "  until the anchor saw it", "  until the manager's turn",
                                  "beside: a bare chain", "beside: a bare pidfd")):
        bench.row(name, *(f"{value:.0f} us" for value in times[3 * index:3 * index + 3]))
    middle, worst, _ = times[0:3]
    bench.row("÷ the bare chain", f"{middle / times[9]:.2f}", f"{worst / times[10]:.2f}")
    bench.judge("exit to subscriber, median us", middle, 150, "{:.0f}")
    bench.judge("exit to subscriber, 99 % us", worst, 1000, "{:.0f}")

    manager = json.loads(subject.abide("where", "--json"))["manager_pid"]
    connections = [subscribe(places["control"]) for _ in range(SUBSCRIBERS)]
    time.sleep(1)
    before = ticks(manager)
    time.sleep(seconds)
    after = ticks(manager)
    descriptors = len(os.listdir(f"/proc/{manager}/fd"))
    bench.row(f"{SUBSCRIBERS} subscribers, idle {seconds} s", f"{(after - before) * 10} ms CPU", f"{descriptors} fds")
    bench.judge("clock ticks of the manager while they wait", after - before, 0, "{:.0f}")
    for connection in connections:
        connection.close()
    subject.stop()
