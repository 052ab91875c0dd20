"""Another program in the supervisor's place: committed, refused before anything changed, or rolled back.  No service is touched."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

from harness import BIN, alive, instance, until

READY_SECONDS = 10  # what a new manager has to get ready
LATE_SECONDS = int(os.environ.get("ABIDE_LATE_SECONDS", "3"))  # after it was ready, a bad one crashes; the promise is about 30
TOML = """
[project]
name = "upgraded"
[services.plain]
command = "sleep 1000"
[services.child]
command = "sleep 1000"
requires = ["plain"]
restart = "always"
[services.task]
kind = "task"
command = "true"
[services.idle]
command = "sleep 1000"
autostart = false
"""


@contextlib.contextmanager
def running(toml=TOML, files=None):
    with instance(toml, files) as one:
        until(lambda: one.state("plain") == "running")
        yield one


def pids(one):
    return {s["name"]: (s["pid"], s["run"], s["state"], s["restarts"]) for s in json.loads(one.ok("status", "--json"))}


def generation(one):
    return json.loads(one.ok("generation", "--json"))


def events(one, kind):
    return [e for e in one.events() if e["type"] == "abide.supervisor." + kind]


def bad(one, kind):
    """The manager that misbehaves in this way."""
    path = one.folder / kind
    shutil.copy(BIN / "abide-manager-bad", path)
    return str(path)


def expect(one, status, *words, word="", timeout=30):
    result = one.run("upgrade", *words, timeout=timeout)
    assert result.returncode == status, f"{words}: {result.returncode} instead of {status}: {result.stderr}"
    assert word in result.stderr, f"{word!r} is not in {result.stderr!r}"
    return result


def told(one, outcome, program, word):
    """The event and `abide generation` say which program it was, what became of it, and why."""
    event = events(one, "rolled-back")[-1]["data"]
    last = generation(one)["last_upgrade"]
    assert (event["outcome"], event["program"]) == (outcome, program) and word in event["detail"], event
    assert (last["outcome"], last["program"], last["detail"]) == (outcome, program, event["detail"]), last
    assert outcome in one.ok("generation") and word in one.ok("generation")


def refused(one, program, *words, word, within=READY_SECONDS + 1):
    """Nothing was changed, and the supervisor knows it afterwards."""
    before, manager = pids(one), one.where()["manager_pid"]
    count, start = len(events(one, "rolled-back")), time.monotonic()
    expect(one, 7, "--to", program, *words, word=word, timeout=within + 10)
    assert time.monotonic() - start < within
    assert pids(one) == before and one.where()["manager_pid"] == manager
    assert len(events(one, "rolled-back")) == count + 1
    told(one, "refused", program, word)


def test_to_the_same_program():
    with running() as one:
        before, first = pids(one), generation(one)
        managers = one.where()["manager_pid"]
        expect(one, 0, "--probation", "200ms")
        assert pids(one) == before
        after = generation(one)
        assert after["epoch"] == first["epoch"] + 1 and after["reason"] == "upgraded", after
        assert after["probation"] == "committed" and after["swaps"] == 1, after
        assert 0 < after["last_swap_us"] < 2_000_000, after
        assert one.where()["manager_pid"] != managers and not alive(managers)
        assert after["last_upgrade"]["outcome"] == "done" and events(one, "upgraded")[0]["data"]["outcome"] == "done"
        assert len(events(one, "upgraded")) == 1 and len(events(one, "recovered")) == 1
        one.ok("restart", "child")
        assert one.status("child")["pid"] != before["child"][0]


def test_to_a_newer_format_and_back():
    with running() as one:
        before = pids(one)
        expect(one, 0, "--to", str(BIN / "abide-manager-next"), "--probation", "100ms")
        until(lambda: generation(one)["format"] == 2)
        assert generation(one)["version"] == "0.2.0-test"
        assert pids(one) == before
        expect(one, 0, "--to", str(BIN), "--probation", "100ms")
        assert generation(one)["version"] != "0.2.0-test" and pids(one) == before
        os.kill(one.where()["manager_pid"], signal.SIGKILL)
        assert pids(one) == before


def test_with_many_services():
    many = "".join(f'[services.m{i}]\ncommand = "sleep 1000"\nlog = "none"\n' for i in range(300))
    with running(TOML + many) as one:
        before = pids(one)
        expect(one, 0, "--probation", "0s")
        assert pids(one) == before


def test_on_probation_the_journal_stays_as_it_was():
    with running() as one:
        before = pids(one)
        far = str(BIN / "abide-manager-far")
        waiting = subprocess.Popen([str(BIN / "abide"), "-C", str(one.folder), "upgrade", "--to", far, "--probation", "30s"],
                                   stderr=subprocess.PIPE, text=True)
        until(lambda: generation(one)["version"] == "3.0.0-test")
        assert generation(one)["probation"] == "pending" and generation(one)["format"] == 1
        os.kill(one.where()["manager_pid"], signal.SIGSEGV)
        assert waiting.wait(15) == 8, waiting.stderr.read()
        now = generation(one)
        assert now["reason"] == "rolled-back" and now["version"] != "3.0.0-test" and now["rollbacks"] == 1, now
        assert pids(one) == before
        # Committed, it writes what the program before it can't read, and says so when that one comes.
        expect(one, 0, "--to", far, "--probation", "0s")
        until(lambda: generation(one)["format"] == 3)
        refused(one, str((BIN / "abide-manager").resolve()), word="refuses the journal")
        assert pids(one) == before


def test_what_is_no_program_is_refused():
    with running() as one:
        before, first = pids(one), generation(one)
        text = one.folder / "text"
        text.write_text("#!/bin/sh\nexit 0\n")
        text.chmod(0o755)
        half, machine = one.folder / "half", one.folder / "machine"
        whole = (BIN / "abide-manager").read_bytes()
        half.write_bytes(whole[:len(whole) // 2])
        machine.write_bytes(whole[:18] + b"\x28\x00" + whole[20:])  # e_machine: 32-bit ARM
        for path in (half, machine):
            path.chmod(0o755)
        refused(one, str(text), word="no program")
        refused(one, str(half), word="cut off")
        refused(one, str(machine), word="another machine")
        refused(one, os.path.realpath("/bin/sleep"), word="loader")
        refused(one, str(one.folder / "missing"), word="No such file")
        refused(one, str(one.folder / "missing"), "--anchor", word="No such file")
        refused(one, str(one.folder / "text"), "--anchor", word="no anchor")
        assert generation(one)["epoch"] == first["epoch"] and pids(one) == before
        os.kill(one.where()["manager_pid"], signal.SIGKILL)
        assert generation(one)["last_upgrade"]["program"] == str(text), "a later manager knows it as well"


def test_to_a_program_without_state_is_refused():
    with running() as one:
        before, first = pids(one), generation(one)
        refused(one, str((BIN / "abide-hold").resolve()), word="rehearsal")  # static, ours, and knows nothing of journals
        assert generation(one)["epoch"] == first["epoch"] and pids(one) == before


def test_a_crash_after_the_commit_is_a_crash():
    with running() as one:
        before = pids(one)
        expect(one, 0, "--to", str(BIN / "abide-manager-next"), "--probation", "0s")
        os.kill(one.where()["manager_pid"], signal.SIGSEGV)
        until(lambda: generation(one)["reason"] == "crashed")
        assert generation(one)["version"] == "0.2.0-test" and pids(one) == before
        assert generation(one)["rollbacks"] == 0


def test_what_fails_its_rehearsal_is_refused():
    with running() as one:
        before, first = pids(one), generation(one)
        for kind, word in (("exit-0", "without a report"), ("exit-1", "status 1"), ("crash", "signal 6"), ("eat", "rehearsal"),
                           ("refuse", "refuses the journal"), ("start-all", "would begin with"), ("mute", "without a report")):
            refused(one, bad(one, kind), word=word)
        refused(one, bad(one, "hang"), word="hangs")
        assert generation(one)["epoch"] == first["epoch"] and pids(one) == before
        assert generation(one)["probation"] == "none"


def rolls_back(one, kind, within, *words, word):
    before, program = pids(one), bad(one, kind)
    start = time.monotonic()
    expect(one, 8, "--to", program, *words, word=word, timeout=within + 10)
    took = time.monotonic() - start
    assert took < within, f"{kind}: back after {took:.1f} s"
    assert pids(one) == before, kind
    assert generation(one)["reason"] == "rolled-back"
    told(one, "rolled-back", program, word)


def test_what_fails_as_the_manager_is_rolled_back():
    with running() as one:
        rolls_back(one, "at-replay", READY_SECONDS + 1, word="signal 6")
        rolls_back(one, "quits-0", READY_SECONDS + 1, word="status 0")
        rolls_back(one, "quits-1", READY_SECONDS + 1, word="status 1")
        rolls_back(one, "eat-live", READY_SECONDS + 1, word="signal 6")
        rolls_back(one, "after-20", READY_SECONDS + 1, word="signal 6")
        rolls_back(one, f"after-{LATE_SECONDS}000", LATE_SECONDS + READY_SECONDS + 1, "--probation", f"{LATE_SECONDS + 5}s", word="signal 6")
        assert generation(one)["rollbacks"] == 6


def test_what_dies_of_its_first_event_is_rolled_back():
    with running() as one:
        before = pids(one)
        waiting = subprocess.Popen([str(BIN / "abide"), "-C", str(one.folder), "upgrade", "--to", bad(one, "first-event"),
                                    "--probation", "20s"], stderr=subprocess.PIPE, text=True)
        until(lambda: generation(one)["probation"] == "pending")
        start = time.monotonic()
        one.ok("emit", "something", "--no-wait")  # the manager dies of it, and the one before it carries it out
        assert time.monotonic() - start < READY_SECONDS + 1
        assert waiting.wait(15) == 8 and "signal 6" in waiting.stderr.read()
        assert generation(one)["reason"] == "rolled-back" and generation(one)["rollbacks"] == 1 and pids(one) == before
        assert len(events(one, "rolled-back")) == 1
        told(one, "rolled-back", str(one.folder / "first-event"), "signal 6")


def test_what_hangs_or_talks_garbage_is_rolled_back():
    with running() as one:
        rolls_back(one, "hang-live", READY_SECONDS + 1, word="in time")
        rolls_back(one, "garbage", READY_SECONDS + 1, word="in time")


def test_two_that_ask_at_once():
    with running() as one:
        before = pids(one)
        command = [str(BIN / "abide"), "-C", str(one.folder), "upgrade", "--probation", "1s"]
        two = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        assert [each.wait(20) for each in two] == [0, 0], [each.stderr.read() for each in two]
        assert generation(one)["epoch"] == 2, "they joined"
        first = subprocess.Popen(command)
        until(lambda: generation(one)["probation"] == "pending")
        expect(one, 7, "--to", str(BIN / "abide-manager-next"), word="under way")
        assert first.wait(20) == 0
        assert pids(one) == before


def test_by_a_service_of_the_same_instance():
    toml = TOML + """
[services.package]
kind = "task"
command = "./package"
autostart = false
"""
    with running(toml, {"package": f"#!/bin/sh\n{BIN}/abide upgrade --probation 300ms\n"}) as one:
        before = pids(one)
        one.ok("start", "package", timeout=30)
        until(lambda: one.status("package")["last_exit"], 20)
        assert one.status("package")["last_exit"]["code"] == 0
        after = pids(one)
        assert generation(one)["swaps"] == 1
        assert {n: p for n, p in after.items() if n != "package"} == {n: p for n, p in before.items() if n != "package"}


def test_clients_that_wait_get_their_answer():
    toml = TOML + """
[services.slow]
command = ["sh", "-c", "sleep 2; touch ready; exec sleep 1000"]
ready = { exec = ["test", "-e", "ready"], timeout = "20s" }
autostart = false
[services.fails]
kind = "task"
command = ["sh", "-c", "sleep 2; exit 3"]
autostart = false
[services.deaf]
command = ["sh", "-c", "trap '' TERM; while :; do sleep 0.2; done"]
stop = { timeout = "2s" }
"""
    with running(toml) as one:
        until(lambda: one.state("deaf") == "running")
        ask = [str(BIN / "abide"), "-C", str(one.folder)]
        waiting = {name: subprocess.Popen([*ask, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                   for name, words in (("slow", ("start", "slow")), ("fails", ("start", "fails")), ("deaf", ("stop", "deaf")))}
        time.sleep(0.2)
        expect(one, 0, "--probation", "0s")
        os.kill(one.where()["manager_pid"], signal.SIGKILL)
        statuses = {name: each.wait(20) for name, each in waiting.items()}
        assert statuses == {"slow": 0, "fails": 1, "deaf": 0}, statuses
        assert one.status("fails")["last_exit"]["code"] == 3
        assert one.state("slow") == "running" and one.status("deaf")["last_exit"]["signal"] == "KILL"


def test_a_crash_in_the_rehearsal_changes_nothing():
    with running() as one:
        before = pids(one)
        waiting = subprocess.Popen([str(BIN / "abide"), "-C", str(one.folder), "upgrade", "--to", bad(one, "hang")],
                                   stderr=subprocess.PIPE, text=True)
        until(lambda: subprocess.run(["pgrep", "-fx", "abide-manager --rehearse"], capture_output=True, check=False).stdout)
        os.kill(one.where()["manager_pid"], signal.SIGKILL)
        assert waiting.wait(15) == 1
        assert "interrupted" in waiting.stderr.read()
        assert pids(one) == before and generation(one)["reason"] == "killed"
        told(one, "failed", str(one.folder / "hang"), "interrupted")
        expect(one, 0, "--probation", "0s")


def groups_of(pid):
    """How many control groups the instance has of which this process is the manager."""
    with contextlib.suppress(OSError, StopIteration):
        lines = pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        own = next(line for line in lines if line.startswith("0::"))[3:]
        for mount in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
            group = pathlib.Path(mount + own)
            if group.is_dir() and own != "/":
                return sum(len(folders) for _, folders, _ in os.walk(group.parent))
    return 0


def resident(pid):
    return int(next(line for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                    if line.startswith("VmRSS")).split()[1])


def test_many_upgrades_leave_nothing():
    rounds = int(os.environ.get("ABIDE_UPGRADES", "100"))
    with running() as one:
        before = pids(one)

        def footprint():
            anchor = one.where()["anchor_pid"]
            children = pathlib.Path(f"/proc/{anchor}/task/{anchor}/children").read_text().split()
            manager = one.where()["manager_pid"]
            words = pathlib.Path(f"/proc/{manager}/cmdline").read_bytes() + pathlib.Path(f"/proc/{manager}/environ").read_bytes()
            return {"anchor descriptors": len(os.listdir(f"/proc/{anchor}/fd")), "children": len(children),
                    "descriptors": len(os.listdir(f"/proc/{manager}/fd")), "words": len(words), "groups": groups_of(manager),
                    "runtime": len(os.listdir(one.where()["runtime"]))}, (resident(anchor), resident(manager))

        def settled(wanted):
            with contextlib.suppress(OSError):
                return footprint()[0] == wanted

        for _ in range(3):
            expect(one, 0, "--probation", "0s")
        time.sleep(0.5)
        first, memory = footprint()
        began = time.monotonic()
        for _ in range(rounds):
            expect(one, 0, "--probation", "0s")
        print(f"{rounds} upgrades in {time.monotonic() - began:.0f} s")
        until(lambda: settled(first), 10)
        with contextlib.suppress(AssertionError):  # what an upgrade took is given back when nothing more comes
            until(lambda: footprint()[1][1] <= memory[1] + 1024, 10)
        now = footprint()[1]
        print(f"{first}; anchor {memory[0]} -> {now[0]} KiB, manager {memory[1]} -> {now[1]} KiB")
        assert now[0] <= memory[0] + 64, f"the anchor grew from {memory[0]} to {now[0]} KiB"
        assert now[1] <= memory[1] + 1024, f"the manager grew from {memory[1]} to {now[1]} KiB"
        assert pids(one) == before and generation(one)["swaps"] == rounds + 3
