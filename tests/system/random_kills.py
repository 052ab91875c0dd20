"""Kills at random instants while clients ask, services die and write: the manager is killed again and again, and each round of
requests ends as the same round of an undisturbed twin did; see sweep.py for what is compared.
"""
import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import threading
import time

import sweep
from harness import BIN, until

LONGEST_SECONDS = 0.06  # between two kills; the anchor lets a manager that was ready live for 40 ms
IN_A_ROW = 5            # then one may become ready: ten that never were are a crash loop, which has pauses of seconds
REST_SECONDS = 0.2
LATE = 1                # of a run: kills that hit the very call that gives a TERM, a microsecond of each
COUNTS = """
[services.counts]
command = "./count"
"""
COUNT = """#!/usr/bin/env python3
import sys, time
number = 0
while True:
    number += 1
    sys.stdout.write(f"number {number}\\n")
    sys.stdout.flush()
    time.sleep(0.005)
"""


class Killer(threading.Thread):
    """Kills the manager that there is, at random instants; a child that has not executed yet is not one."""

    def __init__(self, anchor, seed):
        super().__init__(daemon=True)
        self.anchor, self.draw, self.kills, self.over = anchor, random.Random(seed), 0, False

    def manager(self):
        for pid in pathlib.Path(f"/proc/{self.anchor}/task/{self.anchor}/children").read_text().split():
            with contextlib.suppress(OSError):
                if pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() != b"abide-manager\0":
                    continue
                flags = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[6])
                if not flags & 0x40:  # PF_FORKNOEXEC
                    return int(pid)
        return None

    def run(self):
        while not self.over:
            time.sleep(self.draw.random() * LONGEST_SECONDS + (REST_SECONDS if self.kills % IN_A_ROW == IN_A_ROW - 1 else 0))
            pid = self.manager()
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.kills += 1


def round_of(world):
    """Everything that clients ask for, and a service that dies; the statuses of the commands."""
    sweep.dies(world)
    return [sweep.Sweep.code(action(world)) for action in (sweep.restart, sweep.stop_and_start, sweep.task, sweep.talk,
                                                           sweep.reload_and_status)]


def changes(world, before, said):
    """What a round did; the lines of the log come when the logger has time for them."""
    with contextlib.suppress(AssertionError):
        until(lambda: world.said() >= before["said"] + said, 3)
    return sweep.difference(before, world.snapshot())


def differs(told, twin, lates):
    for name, one in sweep.services_of(told):
        other = twin[name]
        # TERM is given at most once: killed in the very call, nobody knows whether it was given, and KILL follows.
        late = {**one, "exit": 0} == {**other, "exit": 0} and one["exit"] == "KILL" and other["exit"] == "TERM"
        lates.append(late)
        if one != other and (not late or lates.count(True) > LATE):
            return f"{name}: {one}, its twin: {other}"
    if sorted(told["lines"]) != sorted(twin["lines"]) or told["said"] != twin["said"]:
        return f"commands {told['lines']}, lines {told['said']}; its twin: {twin['lines']}, {twin['said']}"
    return None


def story_of(world):
    """For somebody who wants to know how it came to this."""
    time.sleep(1)
    one = world.instance
    parts = [one.run(*words).stdout for words in (("status",), ("why", "word"), ("generation",))]
    events = one.run("events", "--since", "start").stdout.splitlines()[-60:]
    return "\n".join([*parts, *events, *one.supervisor_log().splitlines()[-30:]])


def numbers_of(world):
    folder = pathlib.Path(world.instance.where()["log"]) / "counts"
    text = b"".join(file.read_bytes() for file in sorted(folder.iterdir(), key=lambda file: (file.name == "current", file.name)))
    return [int(line.rsplit(b" ", 1)[1]) for line in text.splitlines() if b"number " in line]


def run(kills, seed, end):
    """(kills, rounds, what differs)"""
    world = sweep.World(COUNTS, {"count": COUNT})
    follower = subprocess.Popen([str(BIN / "abide"), "-C", str(world.instance.folder), "events", "-f", "--since", "start", "--json"],
                                stdout=subprocess.PIPE, text=True)
    followed = []
    reader = threading.Thread(target=lambda: followed.extend(int(json.loads(line)["id"]) for line in follower.stdout), daemon=True)
    reader.start()
    try:
        world.instance.run("start", "word")
        round_of(world)
        before = world.snapshot()
        wanted = round_of(world)
        twin = changes(world, before, 1)
        held, rounds, wrong, lates = world.held(), 0, [], []
        killer = Killer(world.anchor(), seed)
        killer.start()
        while killer.kills < kills and time.monotonic() < end and not wrong:
            before = world.snapshot()
            try:
                answers = round_of(world)
            except subprocess.TimeoutExpired as late:
                killer.over = True
                killer.join()
                wrong.append(f"seed {seed}, round {rounds + 1}, {killer.kills} kills: {late}\n{story_of(world)}")
                break
            why = differs(changes(world, before, twin["said"]), twin, lates)
            rounds += 1
            if why or answers != wanted:
                wrong.append(f"seed {seed}, round {rounds}: {why or ''} answers {answers}, its twin's {wanted}")
        killer.over = True
        killer.join()
        numbers = numbers_of(world)
        if numbers != list(range(1, len(numbers) + 1)) or not numbers:
            wrong.append(f"seed {seed}: {len(numbers)} lines of output, the last is {numbers[-1:]}")
        ids = sweep.check_events(world)
        if ids != list(range(1, len(ids) + 1)):
            wrong.append(f"seed {seed}: the numbers of events have gaps")
        with contextlib.suppress(AssertionError):
            until(lambda: followed[-1:] >= ids[-1:], 3)
        if followed != list(range(1, len(followed) + 1)):
            wrong.append(f"seed {seed}: who followed the events missed some, or saw them twice")
        with contextlib.suppress(AssertionError):
            until(lambda: world.held() == held, 5, 0.1)
        if world.held() != held:
            wrong.append(f"seed {seed}: held before: {held}, now: {world.held()}")
        return killer.kills, rounds, wrong
    finally:
        follower.kill()
        world.close()
