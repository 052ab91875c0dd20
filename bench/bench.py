#!/usr/bin/python3
"""The measurements behind the tables of README.md.  Called by bench/run.sh, inside a pid namespace.

    bench.py BIN-DIR [SECTION...]        sections: start restart memory idle chain status scale gap init
                                                    stall journal events monitor

Prints medians of several rounds, and ratios to the bare loop of the same round.
"""
import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gap
import journal
from bench_events import section_events
from subjects import Abide, AbideChain, AbideLean, AbideLines, BareLoop, Runit, S6, Supervisor

SERVICES, MANY, MOST, ROUNDS, JOURNAL_ROUNDS = 500, 1000, 10_000, 15, 5
USUAL = ("start", "restart", "memory", "idle", "chain", "status", "scale", "init")
SECTIONS = (*USUAL, "gap", "stall", "journal", "events", "monitor")
PEERS = [(S6, "s6-svscan"), (Runit, "runsvdir"), (Supervisor, "supervisord")]


class Bench:
    def __init__(self, programs, folder):
        programs = Path(programs).resolve()
        self.tools = (str(programs / "abide-bench-tiny"), str(programs / "abide-bench"))
        self.abide, self.folder, self.bad = str(programs / "abide"), folder, 0
        self.events_tool = str(programs / "abide-bench-events")
        Abide.program = self.abide

    def subject(self, kind, count=SERVICES):
        return kind(self.tools, self.folder / kind.__name__, count)

    def heading(self, text):
        print(f"\n{text}", flush=True)

    def row(self, name, *cells):
        print(f"  {name:28}" + "".join(f"{cell:>16}" for cell in cells), flush=True)

    def judge(self, text, value, limit, form="{:.2f}"):
        good = value <= limit
        self.bad += not good
        print(f"  {'reached    ' if good else 'NOT REACHED'}  {text}: {form.format(value)}, must be <= {form.format(limit)}",
              flush=True)


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def peers():
    return [kind for kind, program in PEERS if shutil.which(program) and "ABIDE_BENCH_ALONE" not in os.environ]


# ---- start, and stop ------------------------------------------------------------------------------------------------


def section_start(bench):
    bench.heading(f"start {SERVICES} services: launch -> first instruction of the last; stop: asked -> all have ended")
    own = [BareLoop, AbideLean, Abide]
    starts, stops = {k: [] for k in own + peers()}, {k: [] for k in own + peers()}
    for turn in range(ROUNDS):
        for kind in own + (peers() if turn == 0 else []):
            subject = bench.subject(kind)
            starts[kind].append(subject.start() / 1e9)
            time.sleep(0.2)
            stops[kind].append(subject.stop())
    base = statistics.median(starts[BareLoop])
    bench.row("", "start", "÷ bare loop", "stop", "rounds")
    for kind in starts:
        middle = statistics.median(starts[kind])
        bench.row(kind.name, f"{middle * 1000:.1f} ms", f"{middle / base:.2f}", f"{statistics.median(stops[kind]) * 1000:.1f} ms",
                  len(starts[kind]))
    bench.judge("start, lean ÷ bare loop", statistics.median(starts[AbideLean]) / base, 1.1)
    bench.judge("start, defaults ÷ bare loop", statistics.median(starts[Abide]) / base, 1.3)
    bench.judge("stop all (lean), seconds", statistics.median(stops[AbideLean]), 0.03, "{:.3f}")


# ---- restart ---------------------------------------------------------------------------------------------------------


def kill_and_wait(subject, index):
    """Milliseconds from SIGKILL to the first instruction of the next process."""
    _, _, pid, starts = subject.slots.slot(index)
    asked = time.monotonic_ns()
    os.kill(pid, signal.SIGKILL)
    while subject.slots.slot(index)[3] == starts:
        if time.monotonic_ns() - asked > 10e9:
            raise RuntimeError(f"{subject.name}: service {index} did not come back within 10 s")
        time.sleep(0.001)
    return (subject.slots.slot(index)[0] - asked) / 1e6


def restart_times(subject, kills):
    """Each service is killed at most once, so that nobody's rate limit is measured; at most five seconds of it."""
    step, times, deadline = max(1, subject.count // kills), [], time.monotonic() + 5
    for index in range(0, step * kills, step):
        if time.monotonic() < deadline:
            times.append(kill_and_wait(subject, index))
    return times


def section_restart(bench):
    bench.heading(f"SIGKILL -> first instruction of the next, one after the other, {SERVICES} services up")
    bench.row("", "median", "99 %", "kills")
    for kind in [BareLoop, AbideLean, Abide, *peers()]:
        subject = bench.subject(kind)
        subject.start()
        time.sleep(subject.settle)
        times = restart_times(subject, 400)
        subject.stop()
        middle, worst = statistics.median(times), percentile(times, 0.99)
        bench.row(kind.name, f"{middle:.2f} ms", f"{worst:.2f} ms", len(times))
        if kind is AbideLean:
            lean = middle, worst
    bench.judge("restart, lean, median ms", lean[0], 0.75)
    bench.judge("restart, lean, 99 % ms", lean[1], 1.3)


# ---- memory ---------------------------------------------------------------------------------------------------------


def pss_kib(pid):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def memory_kib(pids):
    """PSS of these processes, plus memfds and shared memory that they hold but don't map."""
    files = {}
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target, status = os.readlink(entry), os.stat(entry)
            except OSError:
                continue
            if target.startswith(("/memfd:", "/dev/shm/")):
                files[status.st_dev, status.st_ino] = status.st_blocks // 2
    return sum(map(pss_kib, pids)) + sum(files.values())


def section_memory(bench):
    bench.heading(f"memory of the supervisor's own processes: PSS + memfds, {SERVICES} services")
    bench.row("", "total", "a service", "processes")
    for kind in [BareLoop, AbideLean, Abide, *peers()]:
        subject = bench.subject(kind)
        subject.start()
        time.sleep(1)  # what a start has made large is given back when it is quiet
        own = subject.own()
        total = memory_kib(own)
        subject.stop()
        further = None
        if issubclass(kind, Abide):
            larger = bench.subject(kind, MANY)
            larger.start()
            time.sleep(1)
            further = (memory_kib(larger.own()) - total) / (MANY - SERVICES)
            larger.stop()
        bench.row(kind.name, f"{total / 1024:.2f} MiB", f"{further:.2f} KiB" if further is not None else "", len(own))
        if kind is Abide:
            measured = total / 1024, further
    bench.judge("memory, defaults, MiB", measured[0], 6)
    bench.judge("each further service, KiB", measured[1], 3)


# ---- idle -----------------------------------------------------------------------------------------------------------


def activity(pids):
    """(context switches, clock ticks) of all threads."""
    switches = ticks = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for line in (task / "status").read_text().splitlines():
                if "ctxt_switches" in line:
                    switches += int(line.split()[1])
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return switches, ticks


def section_idle(bench, seconds=10):
    bench.heading(f"idle for {seconds} s, {MANY} services, defaults")
    subject = bench.subject(Abide, MANY)
    subject.start()
    time.sleep(1.5)
    own = subject.own()
    before = activity(own)
    time.sleep(seconds)
    after = activity(own)
    subject.stop()
    bench.row("abide, defaults", f"{after[0] - before[0]} wake-ups", f"{(after[1] - before[1]) * 10} ms CPU")
    bench.judge("wake-ups while idle", after[0] - before[0], 0, "{:.0f}")
    bench.judge("clock ticks while idle", after[1] - before[1], 0, "{:.0f}")


# ---- chain ----------------------------------------------------------------------------------------------------------


def section_chain(bench, count=100):
    bench.heading(f"a chain of {count} services, each ready {AbideChain.own_us / 1000:.0f} ms after it began (READY=1)")
    ratios = []
    for _ in range(3):
        subject = bench.subject(AbideChain, count)
        subject.start()
        slots = subject.slots.all()
        if any(later[0] < earlier[1] for earlier, later in zip(slots, slots[1:])):
            raise RuntimeError("a service began before the one that it requires was ready")
        own_ns = sum(ready - first for first, ready, _, _ in slots)
        whole_ns = slots[-1][1] - subject.slots.launch_ns()
        ratios.append(whole_ns / own_ns)
        subject.stop()
        bench.row("abide, lean", f"{whole_ns / 1e6:.1f} ms", f"own {own_ns / 1e6:.1f} ms", f"{ratios[-1]:.3f}")
    bench.judge("chain ÷ sum of their own times", statistics.median(ratios), 1.5)


# ---- status ----------------------------------------------------------------------------------------------------------


def section_status(bench):
    bench.heading(f"status, {MANY} services up: round trip on the control socket")
    subject = bench.subject(AbideLean, MANY)
    subject.start()
    control = subject.places["control"]

    def ask(clients, rounds, name):
        done = subprocess.run([bench.tools[1], "ask", control, str(clients), str(rounds), name], capture_output=True,
                              text=True, timeout=60, check=True)
        return [float(word) / 1000 for word in done.stdout.split()]

    bench.row("", "median", "99 %", "longest")
    cells = {}
    for title, clients, rounds, name in (("one client, one service", 1, 500, "s7"), ("one client, all services", 1, 100, "-"),
                                         ("50 clients, one service", 50, 40, "s7"), ("50 clients, all services", 50, 2, "-")):
        cells[title] = ask(clients, rounds, name)
        bench.row(title, *(f"{value:.2f} ms" for value in cells[title]))
    title = "one client, all, after a change"  # no answer is at hand
    firsts = []
    for index in range(20):
        kill_and_wait(subject, index)
        firsts.append(ask(1, 1, "-")[0])
    cells[title] = (statistics.median(firsts), percentile(firsts, 0.99), max(firsts))
    bench.row(title, *(f"{value:.2f} ms" for value in cells[title]))
    began = time.monotonic()
    for _ in range(5):
        subject.abide("status", "s7")
    bench.row("the command `abide status s7`", f"{(time.monotonic() - began) / 5 * 1000:.2f} ms")
    subject.stop()
    bench.judge("status, one client, ms", cells["one client, one service"][0], 2)
    bench.judge("status of all, one client, ms", cells["one client, all services"][0], 2)
    bench.judge("status of all after a change, one client, ms", cells[title][0], 2)
    bench.judge("status, 50 clients at once, 99 % ms", cells["50 clients, one service"][1], 20)


# ---- gap -------------------------------------------------------------------------------------------------------------


def section_gap(bench):
    gap.section_gap(bench, AbideLean, (100, MANY, MOST), percentile)


def section_stall(bench):
    gap.section_stall(bench, AbideLines, percentile)


def section_journal(bench):
    journal.section_journal(bench, Abide, MANY, JOURNAL_ROUNDS)


# ---- scale -----------------------------------------------------------------------------------------------------------


def section_scale(bench):
    bench.heading(f"restart with {MOST} services up ÷ with 10 up (lean)")
    middles = {}
    for count in (10, MOST):
        subject = bench.subject(AbideLean, count)
        took = subject.start() / 1e9
        time.sleep(0.5)
        times = restart_times(subject, min(count, 100))
        if count == 10:  # ten services are killed once each; again from a new start, for a median of more than ten
            for _ in range(4):
                subject.stop()
                subject = bench.subject(AbideLean, count)
                subject.start()
                time.sleep(0.2)
                times += restart_times(subject, count)
        stopped = subject.stop()
        middles[count] = statistics.median(times)
        bench.row(f"{count} services", f"start {took:.2f} s", f"{took / count * 1e6:.0f} us each",
                  f"restart {middles[count]:.2f} ms", f"stop {stopped:.2f} s")
    bench.judge("restart, 10,000 up ÷ 10 up", middles[MOST] / middles[10], 1.3)


# ---- init ------------------------------------------------------------------------------------------------------------


def resident_kib(command):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    time.sleep(0.2)
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    process.terminate()
    process.wait(10)
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def section_init(bench):
    bench.heading("`init -- true`: fork, exec, init, true, exit; 400 rounds in turn")
    commands = {"true alone": ["/bin/true"], "abide init": [bench.abide, "init", "-s", "--", "/bin/true"]}
    for name in ("tini", "tini-static"):
        if shutil.which(name):
            commands[name] = [shutil.which(name), "-s", "--", "/bin/true"]
    words = []
    for command in commands.values():
        words += ["--bench--", *command]
    done = subprocess.run([bench.tools[1], "time", "400", *words[1:]], capture_output=True, text=True, timeout=60, check=True)
    times = dict(zip(commands, (list(map(float, line.split())) for line in done.stdout.splitlines())))
    bench.row("", "median", "99 %", "resident")
    for name, (middle, worst, _) in times.items():
        waits = [word if word != "/bin/true" else "/bin/sleep" for word in commands[name]] + ["5"]
        bench.row(name, f"{middle:.0f} us", f"{worst:.0f} us", f"{resident_kib(waits)} KiB")
    if "tini" in times:
        bench.judge("abide init ÷ tini", times["abide init"][0] / times["tini"][0], 1.05)
    if "tini-static" in times:
        bench.judge("abide init ÷ tini-static", times["abide init"][0] / times["tini-static"][0], 1.05)
        ours, theirs = (resident_kib([word if word != "/bin/true" else "/bin/sleep" for word in commands[name]] + ["5"])
                        for name in ("abide init", "tini-static"))
        bench.judge("resident, KiB, against tini-static's", ours, theirs, "{:.0f}")


# ---- libabide --------------------------------------------------------------------------------------------------------

MONITORS = (("ours", "libabide"), ("libuv", "libuv"), ("boost", "Boost.Process v2"))


def section_monitor(bench):
    """Children that end one by one while many others are watched; in bursts; starts of a large and a small parent."""
    folder = Path(bench.abide).parent
    program, mortal = str(folder / "abide-bench-monitor"), str(folder / "abide-mortal")

    def measure(*words):
        done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(f"monitor {' '.join(map(str, words))}: {done.stderr.strip()}")
        return [float(word) for word in done.stdout.split()]

    few, many, bursts = 10, int(os.environ.get("ABIDE_BENCH_WATCHED", MOST)), int(os.environ.get("ABIDE_BENCH_BURSTS", 1))
    bench.heading(f"the process monitor: processor time of the watcher for each exit, {few} and {many} watched")
    bench.row("", f"{few} watched", f"{many} watched", "ratio")
    for kind, name in MONITORS:
        # In turns, so that a busy machine hits both.
        rounds = [(measure("exits", kind, mortal, few, 200)[0], measure("exits", kind, mortal, many, 200)[0])
                  for _ in range(3 if kind == "ours" else 1)]
        low, high = (statistics.median(column) for column in zip(*rounds))
        bench.row(name, f"{low:.1f} us", f"{high:.1f} us", f"{high / low:.2f}")
        if kind == "ours":
            bench.judge(f"cost of an exit, {many} ÷ {few} watched", high / low, 1.5)

    total, burst = 10_000, 1000
    bench.heading(f"{total} children that end in bursts of {burst}, {bursts} round(s)")
    bench.row("", "told", "wrong", "an exit")
    for kind, name in MONITORS:
        rounds = [measure("bursts", kind, mortal, total, burst) for _ in range(bursts if kind == "ours" else 1)]
        told, wrong = (sum(int(r[at]) for r in rounds) for at in (0, 1))
        bench.row(name, told, wrong, f"{statistics.median(r[3] for r in rounds):.1f} us")
        if kind == "ours":
            lost = abs(bursts * total - told) + wrong + sum(int(r[2]) for r in rounds)
            bench.judge("notifications lost, doubled or wrong, or zombies", lost, 0, "{:.0f}")

    bench.heading("start -> exec, by the memory that the parent uses")
    bench.row("", "10 MiB", "2 GiB", "ratio")
    for kind in ("ours", "fork"):
        # In turns, so that a busy machine hits both.
        rounds = [[measure("spawn", kind, mib, 200 if kind == "ours" else 20, "/bin/true")[0] for mib in (10, 2048)]
                  for _ in range(5 if kind == "ours" else 1)]
        small, large = (statistics.median(column) for column in zip(*rounds))
        bench.row({"ours": "libabide", "fork": "fork and exec"}[kind], f"{small:.0f} us", f"{large:.0f} us",
                  f"{large / small:.2f}")
        if kind == "ours":
            bench.judge("start, 2 GiB ÷ 10 MiB", large / small, 1.2)


def clear_namespace():
    """What a broken section left: all processes but this one, and the cgroups of the measured instances."""
    if os.getpid() != 1:
        raise RuntimeError("not the first process of a pid namespace")
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    time.sleep(1)
    for mount in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        for top in Path(mount).glob("abide-Abide*"):
            for folder, _, _ in os.walk(top, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass  # somebody else's, and in use


def main():
    wanted = sys.argv[2:] or USUAL
    unknown = set(wanted) - set(SECTIONS)
    if unknown:
        print(f"bench: no such section: {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}", file=sys.stderr)
        return 2
    if os.getpid() != 1:
        print("bench: not the first process of a pid namespace; start it by bench/run.sh", file=sys.stderr)
        return 2
    began, failed = time.monotonic(), []
    folder = Path(tempfile.mkdtemp(prefix="abide-bench-"))
    bench = Bench(sys.argv[1], folder)
    print(f"{os.cpu_count()} cores, Linux {os.uname().release}; times are medians", flush=True)
    try:
        for section in wanted:
            try:
                globals()["section_" + section](bench)
            except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
                print(f"  {section}: broke off: {error}", flush=True)
                failed.append(section)
                clear_namespace()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{time.monotonic() - began:.0f} s; {bench.bad} figures not reached"
          + (f"; broke off: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
