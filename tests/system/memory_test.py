"""What a service costs the supervisor when it is quiet: its own processes, and the memory files that they hold."""
import json
import os
from pathlib import Path

from harness import instance, until

FEW, MANY = 50, 450
MOST_KIB = 3.0  # a service with a short command; 2.2 were measured, 3.65 when bursts left their buffers behind


def services(count):
    return '[project]\nname = "small"\n' + "".join(f'[services.s{n}]\ncommand = "sleep 1000"\n' for n in range(count))


def pss_kib(pid):
    return sum(int(line.split()[1]) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))


def memory_files(pid):
    """Allocated KiB of each, by inode: several of us hold the same."""
    files = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(entry).startswith("/memfd:"):
                files[os.stat(entry).st_ino] = os.stat(entry).st_blocks // 2
        except OSError:
            pass  # closed meanwhile
    return files


def running(one):
    return sum(service["state"] == "running" for service in json.loads(one.ok("status", "--json")))


def supervisor_kib(one):
    places, files = one.where(), {}
    pids = [places[role] for role in ("anchor_pid", "manager_pid", "logger_pid")]
    for pid in pids:
        files |= memory_files(pid)
    return sum(map(pss_kib, pids)) + sum(files.values())


def test_a_service_costs_little_once_it_runs():
    """A start makes everything large: event lines, queues, tables.  Nothing of that stays."""
    with instance(services(FEW)) as few, instance(services(MANY)) as many:
        for one, count in ((few, FEW), (many, MANY)):
            until(lambda one=one, count=count: running(one) == count, 30)

        def costs():
            return (supervisor_kib(many) - supervisor_kib(few)) / (MANY - FEW)

        until(lambda: costs() < MOST_KIB, 10, 0.3)
