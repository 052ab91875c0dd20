"""There is no memory for one allocation of the command line, or for none from it on: it says so in one line and ends with a status
that says so too; what it was to do is done or not done, and nothing else of the instance is touched.

A seeded sample; with ABIDE_SWEEP=full every allocation of every command.
"""
import json
import os
import re
import subprocess
import time

import sweep
from harness import BIN, until

FULL = os.environ.get("ABIDE_SWEEP") == "full"
SECONDS = float(os.environ.get("ABIDE_SWEEP_SECONDS", "1e9" if FULL else "6"))  # for each command
ALLOCATIONS = None if FULL else 4
# Of the C library, before anything of ours runs: what it says then, and its status, are its own.
BEFORE_US = 5
NUMBER = re.compile(r"\d+")
# Executes what it is given as a child, once abide-step watches for that.
SHELL = 'read go; "$@"; exit $?'


class Disturbed:
    def __init__(self, world):
        self.world = world

    def run(self, words, *deed):
        """(status, output, errors, allocations seen, whether it acted)"""
        command = ["sh", "-c", SHELL, "sh", str(BIN / "abide"), "-C", str(self.world.instance.folder), *words]
        shell = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        stepper = sweep.Stepper(shell.pid, "child", *deed)
        output, errors = shell.communicate("go\n", timeout=30)
        calls, number = stepper.end(0.5)
        return shell.returncode, output, errors, calls, number == 0


def generation(world):
    return json.loads(world.instance.run("generation", "--json").stdout)


def stays(words, world, before, told):
    """What differs of what the command had nothing to do with, or is done by half."""
    for name, one in sweep.services_of(told):
        if name == "word" and words[0] == "start" and (one["state"], one["runs"]) == ("running", 1):
            continue  # it was asked before the memory ended
        if one["process"] != "same" or one["runs"] != 0:
            return f"{name}: {one}"
    if told["lines"] or told["said"]:
        return f"commands ran: {told['lines']}, {told['said']}"
    after = generation(world)
    done = 1 if words[0] == "upgrade" and after["epoch"] == before["epoch"] + 1 else 0
    if after["epoch"] != before["epoch"] + done or after["rollbacks"] or (done and after["reason"] != "upgraded"):
        return f"the manager: {after}"
    return None


def judge(disturbed, words, twin, deed, at):
    world = disturbed.world
    before, was = world.snapshot(), generation(world)
    status, output, errors, _, acted = disturbed.run(words, deed, at)
    if words[0] == "upgrade":
        until(lambda: generation(world)["probation"] != "pending", 20)
    told = sweep.difference(before, world.snapshot())
    if wrong := stays(words, world, was, told):
        return wrong
    lines = errors.splitlines()
    if status == 0:  # it did not come so far, or the C library could do without
        good = not lines and (not acted or NUMBER.sub("#", output) == NUMBER.sub("#", twin))
        return None if good else f"status 0, but {output[:300]!r} {errors!r}"
    if len(lines) != 1 or not lines[0].startswith("abide: ") or status != 1:
        return f"status {status}: {errors!r}"
    return None


def sample(allocations, draw):
    """Most come before the command knows what it is: half of the sample is of the last quarter, where it is carried out."""
    if FULL:
        return [at for at in sweep.sample(allocations, None, draw) if at > BEFORE_US]
    last = allocations * 3 // 4
    return [BEFORE_US + 1, *(BEFORE_US + at for at in sweep.sample(last - BEFORE_US, ALLOCATIONS // 2, draw)), *(last + at for at in sweep.sample(allocations - last, ALLOCATIONS // 2, draw))]


def disturb(words, undo=()):
    world = sweep.World()
    try:
        world.instance.ok("stop", "word")
        disturbed, draw = Disturbed(world), sweep.draw_of()
        status, twin, errors, allocations, _ = disturbed.run(words, "allocations")
        assert status == 0 and not errors, errors
        end, done, wrong = time.monotonic() + SECONDS, 0, []
        for deed in ("nomem", "nomem-from"):
            for at in sample(allocations, draw):
                if time.monotonic() > end:
                    break
                if undo:
                    world.instance.ok(*undo)
                done += 1
                if why := judge(disturbed, words, twin, deed, at):
                    wrong.append(f"{' '.join(words)}: {deed} {at}: {why}")
        print(f"   {' '.join(words)}: {allocations} allocations, {done} failed, {len(wrong)} differ", flush=True)
        assert not wrong, "\n".join(wrong[:20])
        assert done >= 5, done
    finally:
        world.close()


def test_status():
    disturb(("status",))


def test_start():
    disturb(("start", "word"), ("stop", "word"))


def test_events():
    disturb(("events", "--since", "start"))


def test_upgrade():
    disturb(("upgrade", "--probation", "0s"))
