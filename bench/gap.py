"""The gap: from the last answer of the old manager to the first one of the new, as a client sees it.  A section of bench.py.

Two kinds of answers: what a service's state is, and what waits until the journal was compared with the kernel, as every request
that changes something does.
"""
import json
import os
import signal
import socket
import statistics
import subprocess
import time

import systemd

PING = b'{"method":"io.abide.Control.Ping"}\0'
STATUS = b'{"method":"io.abide.Control.Status","parameters":{"names":["s7"]}}\0'
GENERATION = b'{"method":"io.abide.Control.Generation"}\0'
WHERE = b'{"method":"io.abide.Control.Where"}\0'
KILLS, UPGRADES = 40, 20
BESIDE = 1000  # services; with more systemd takes longer than this benchmark may
LIMITS = {100: 20, 1000: 50, 10_000: 150}  # milliseconds, 99 %


def ask(control, message=PING):
    """The reply's parameters; asks again, on a new connection, as long as there is none."""
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            try:
                client.connect(control)
                client.sendall(message)
                reply = b""
                while not reply.endswith(b"\0"):
                    part = client.recv(65536)
                    if not part:
                        break
                    reply += part
                else:
                    return json.loads(reply[:-1])["parameters"]
            except (ConnectionError, BrokenPipeError):
                pass


def kill_gap(control):
    """Milliseconds to the first answer, and to the first that waits for the kernel."""
    manager = ask(control, WHERE)["manager_pid"]
    epoch = ask(control)["epoch"]
    began = time.monotonic_ns()
    os.kill(manager, signal.SIGKILL)
    while True:
        state = ask(control, STATUS)["services"][0]["state"]
        first = time.monotonic_ns()
        if ask(control)["epoch"] != epoch:
            break  # else the answer was on its way
    if state != "running":
        raise RuntimeError(f"s7 is {state}")
    ask(control, GENERATION)
    return (first - began) / 1e6, (time.monotonic_ns() - began) / 1e6


def upgrade_gap(subject, control):
    command = subprocess.Popen([subject.program, "-C", subject.folder, "upgrade", "--probation", "0s"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL)
    last = time.monotonic_ns()
    epoch = ask(control)["epoch"]
    while True:
        now_epoch, now = ask(control)["epoch"], time.monotonic_ns()
        if now_epoch != epoch:
            break
        last = now
    if command.wait(60) != 0:
        raise RuntimeError("an upgrade failed")
    return (now - last) / 1e6


def section_gap(bench, kind, counts, percentile):
    bench.heading("last answer of the old manager -> first answer of the new, a client that asks all the time")
    bench.row("", "median", "99 %", "longest", "times")
    for count in counts:
        subject = bench.subject(kind, count)
        subject.start()
        time.sleep(0.5)
        control, pids = subject.places["control"], subject.slots.pids()
        killed, whole = [], []
        for _ in range(KILLS):
            time.sleep(0.1)
            first, all_of_it = kill_gap(control)
            killed.append(first)
            whole.append(all_of_it)
        upgraded = [upgrade_gap(subject, control) for _ in range(UPGRADES if count < 5000 else 5)]
        if subject.slots.pids() != pids:
            raise RuntimeError("a service was started again")
        subject.stop()
        for name, times in ((f"{count} services, SIGKILL", killed), ("  until all is compared", whole),
                            (f"{count} services, upgrade", upgraded)):
            ordered = sorted(times)
            bench.row(name, f"{ordered[len(ordered) // 2]:.1f} ms", f"{percentile(times, 0.99):.1f} ms", f"{ordered[-1]:.1f} ms",
                      len(times))
            if times is not whole:
                bench.judge(f"gap, {name}, 99 % ms", percentile(times, 0.99), LIMITS[count], "{:.1f}")
        if count <= BESIDE:
            beside(bench, count, statistics.median(upgraded))


def beside(bench, count, ours):
    """systemd's, where it can be run."""
    if not systemd.can_be_run():
        bench.row("  systemctl daemon-reexec", "can't be run")
        return
    times = sorted(systemd.reexec_gaps(count))
    middle = statistics.median(times)
    bench.row("  systemctl daemon-reexec", f"{middle:.1f} ms", "", f"{times[-1]:.1f} ms", len(times), f"{middle / ours:.0f} x ours")


# ---- what the services feel of it

STALL_MS = 50


def killed_each(subject, role, seconds, every=0.5):
    for _ in range(int(seconds / every)):
        while (pid := ask(subject.places["control"], WHERE)[role]) <= 1:
            time.sleep(0.01)  # the next one is not there yet
        os.kill(pid, signal.SIGKILL)
        time.sleep(every)


def upgraded_each(subject, seconds, every=1.0):
    for _ in range(int(seconds / every)):
        upgrade_gap(subject, subject.places["control"])
        time.sleep(every)


def section_stall(bench, kind, percentile, count=1000, seconds=5):
    bench.heading(f"{count} services that write {count * 1_000_000 // kind.period_us} lines a second: the longest write of each")
    bench.row("", "median", "99 %", "longest", "lines/s")
    subject = bench.subject(kind, count)
    subject.start()
    time.sleep(1)
    for name, torment in (("nothing happens", lambda: time.sleep(seconds)),
                          ("the manager is killed", lambda: killed_each(subject, "manager_pid", seconds)),
                          ("the manager is upgraded", lambda: upgraded_each(subject, seconds)),
                          ("the logger is killed", lambda: killed_each(subject, "logger_pid", seconds))):
        subject.set_back()
        lines, began = subject.lines(), time.monotonic()
        torment()
        took, longest = time.monotonic() - began, sorted(subject.longest_ms())
        bench.row(name, f"{longest[count // 2]:.2f} ms", f"{percentile(longest, 0.99):.2f} ms", f"{longest[-1]:.2f} ms",
                  f"{(subject.lines() - lines) / took:.0f}")
        bench.judge(f"longest write, {name}, 99 % ms", percentile(longest, 0.99), STALL_MS)
    subject.stop()
