"""A journal or an input that makes managers crash: that one thing is left out; if nothing helps, services are rescued, not touched."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import harness
from clients_test import answer, call, control
from harness import BIN, alive, instance, until
from upgrade_test import TOML, bad, events, expect, generation, pids, told

STEP_SECONDS = 15  # what a step of a manager's turn may take


@contextlib.contextmanager
def poisoned(toml=TOML):
    """An instance of the program that dies of what the file `poison` names."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="abide-programs-"))
    for name in ("abide", "abide-hold"):
        shutil.copy(BIN / name, folder / name)
    shutil.copy(BIN / "abide-manager-bad", folder / "abide-manager")
    poison = folder / "poison"
    os.environ["ABIDE_TEST_POISON"] = str(poison)
    before, harness.BIN = harness.BIN, folder
    try:
        with instance(toml) as one:
            until(lambda: one.state("plain") == "running")
            yield one, poison
    finally:
        harness.BIN = before
        del os.environ["ABIDE_TEST_POISON"]
        shutil.rmtree(folder, ignore_errors=True)


def running_seconds(pid):
    """What it took of a processor."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def kill_manager(one):
    pid = one.where()["manager_pid"]
    assert pid > 1
    os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def rescued(toml=TOML):
    """No manager can build its engine: there is a rescue."""
    with poisoned(toml) as (one, poison):
        before = pids(one)
        poison.write_text("build")
        kill_manager(one)
        until(lambda: generation(one)["rescue"], 20)
        yield one, poison, before


def test_a_record_is_left_out_and_comes_back():
    with poisoned() as (one, poison):
        before = pids(one)
        poison.write_text("record plain")
        kill_manager(one)
        until(lambda: "plain" not in pids(one), 20)
        assert alive(before["plain"][0]), "a service was touched"
        left = {name: entry for name, entry in before.items() if name != "plain"}
        assert pids(one) == left
        assert any("record" in line for line in generation(one)["quarantined"]), generation(one)
        one.ok("start", "idle")
        one.ok("stop", "idle")
        kill_manager(one)  # it stays out
        assert "plain" not in pids(one)
        poison.unlink()
        expect(one, 0, "--probation", "0s")
        assert pids(one)["plain"] == before["plain"], "it was kept as it was"
        assert not generation(one)["quarantined"]


def test_a_request_is_refused():
    with poisoned() as (one, poison):
        before = pids(one)
        poison.write_text("input a request about idle")
        assert one.run("start", "idle", timeout=60).returncode == 7
        assert pids(one) == before
        one.ok("restart", "child")
        assert any("idle" in line for line in generation(one)["quarantined"])


def test_a_start_is_given_up():
    with poisoned() as (one, poison):
        before = pids(one)
        poison.write_text("effect a start of idle")
        failed = one.run("start", "idle", timeout=60)
        assert failed.returncode == 1 and "managers have died of it" in failed.stderr, failed
        assert all(pids(one)[name] == before[name] for name in ("plain", "child"))
        assert any("idle" in line for line in generation(one)["quarantined"])
        one.ok("restart", "child")


def test_who_dies_of_what_he_hears_is_rescued():
    """Nobody can say what it was; but it is not tried for ever."""
    with poisoned() as (one, poison):
        before = pids(one)
        poison.write_text("hear")
        kill_manager(one)
        until(lambda: generation(one)["rescue"], 20)
        assert alive(before["plain"][0]) and alive(before["child"][0])


def test_rescue_and_the_way_out():
    with rescued() as (one, poison, before):
        seen = {s["name"]: s["pid"] for s in json.loads(one.ok("status", "--json"))}
        assert seen == {name: before[name][0] for name in ("plain", "child")}
        refused = one.run("start", "idle")
        assert refused.returncode == 7 and "rescue" in refused.stderr, refused
        one.ok("stop", "child")
        until(lambda: not alive(before["child"][0]))
        assert alive(before["plain"][0])
        kill_manager(one)
        until(lambda: generation(one)["rescue"], 20)
        assert alive(before["plain"][0])
        poison.unlink()
        expect(one, 0, "--to", str(BIN), "--probation", "300ms")
        last = generation(one)
        assert not last["rescue"] and last["probation"] == "committed" and last["last_upgrade"]["outcome"] == "done", last
        assert [e["data"]["outcome"] for e in events(one, "upgraded")] == ["done"] and not events(one, "rolled-back")
        assert pids(one)["plain"] == before["plain"]
        until(lambda: one.state("child") == "running")  # it was stopped behind the back of its restart rule
        assert len(events(one, "rescue")) == 1


def test_who_only_stands_there_keeps_nobody_out_of_a_rescue():
    with rescued() as (one, _, before), contextlib.ExitStack() as stack:
        path = one.where()["control"]
        idle = [stack.enter_context(control(path)) for _ in range(100)]
        seen = {s["name"]: s["pid"] for s in json.loads(one.ok("status", "--json"))}
        assert seen == {name: before[name][0] for name in ("plain", "child")}
        call(idle[-1], "Ping")
        assert "version" in answer(idle[-1])["parameters"], "the newest are served"
        # Who waits for an answer is not among those that give way.
        call(idle[-1], "Stop", {"names": ["child"]})
        idle += [stack.enter_context(control(path)) for _ in range(100)]
        assert answer(idle[99])["parameters"]["outcome"] == "done"
        assert not alive(before["child"][0]) and alive(before["plain"][0])


def test_out_of_a_rescue_no_program_is_believed_unseen():
    """Refused in its rehearsal, or taken back from its probation: then it is a rescue as before."""
    with rescued() as (one, poison, before):
        manager = one.where()["manager_pid"]
        programs = [(path, "") for path in (os.path.realpath("/bin/sh"), str(one.config), "/no/such/program")]
        programs += [(bad(one, "exit-1"), "status 1"), (bad(one, "refuse"), "refuses the journal"),
                     (bad(one, "start-all"), "would begin with")]
        asked = [program for program, _ in programs]
        for program, word in programs:
            expect(one, 7, "--to", program, word=word)
            last = generation(one)
            assert last["rescue"] and last["last_upgrade"]["outcome"] == "refused", last
            assert last["last_upgrade"]["program"] == program and word in last["last_upgrade"]["detail"], last
        assert one.where()["manager_pid"] == manager
        quits = bad(one, "quits-1")
        expect(one, 8, "--to", quits, "--probation", "10s", word="status 1")
        until(lambda: generation(one)["rescue"], 20)
        last = generation(one)["last_upgrade"]
        assert (last["outcome"], last["program"]) == ("rolled-back", quits) and "status 1" in last["detail"], last
        assert alive(before["plain"][0]) and alive(before["child"][0])
        poison.unlink()
        expect(one, 8, "--to", quits, "--probation", "10s", word="status 1")
        until(lambda: not generation(one)["rescue"])  # the program before it had another try, and this time it can
        told(one, "rolled-back", quits, "status 1")
        assert pids(one)["plain"] == before["plain"] and pids(one)["child"] == before["child"]
        kill_manager(one)
        until(lambda: generation(one)["reason"] == "killed")
        every = [("refused", program) for program in asked] + 2 * [("rolled-back", quits)]
        assert [(e["data"]["outcome"], e["data"]["program"]) for e in events(one, "rolled-back")] == every, "each is told once"
        expect(one, 0, "--to", str(BIN), "--probation", "0s")


def test_after_one_that_kept_no_state():
    """The next program finds no journal: services live on, are seen, and are stopped when that is asked for."""
    with poisoned() as (one, _):
        before = pids(one)
        one.run("upgrade", "--to", bad(one, "stateless"), "--probation", "10s", timeout=30)
        until(lambda: generation(one)["rescue"], 20)
        assert "keeps no journal" in " ".join(generation(one)["problems"]), generation(one)
        assert {s["name"]: s["pid"] for s in json.loads(one.ok("status", "--json"))} == {n: before[n][0] for n in ("plain", "child")}
        expect(one, 7, "--to", str(BIN), word="keeps no journal")
        one.ok("stop", "child")
        assert not alive(before["child"][0]) and alive(before["plain"][0])
        one.run("down")
        until(lambda: not alive(before["plain"][0]), 20)


# Its memory takes a while to be taken down, and all that time it is neither to be read nor ended.
FAT = """
[services.fat]
command = ["python3", "-c", "import time; text = b'x' * (1 << 30); open('grown', 'w'); time.sleep(1000)"]
"""


def test_a_stop_in_a_rescue_is_done_when_its_processes_have_ended():
    with rescued(TOML + FAT) as (one, _, before):
        until(lambda: (one.folder / "grown").exists(), 20)
        one.ok("stop", "fat")
        assert not alive(before["fat"][0]) and alive(before["plain"][0])


def test_down_ends_a_rescue():
    with rescued() as (one, poison, before):
        one.run("down")
        until(lambda: not alive(before["plain"][0]))


def test_the_ladder_does_not_count_sigkill():
    with poisoned() as (one, _):
        before = pids(one)
        for _ in range(12):
            kill_manager(one)
            until(lambda: one.run("status").returncode == 0)
        assert pids(one) == before
        assert not generation(one)["quarantined"] and not generation(one)["rescue"]


def test_a_manager_that_spins_while_only_clients_wait_is_replaced():
    """No process ends and no signal comes, so it owes the anchor nothing: its own bound ends it."""
    with poisoned() as (one, poison):
        before, where = pids(one), one.where()
        poison.write_text("spin a request about idle")
        start = time.monotonic()
        waiting = subprocess.Popen([*one.command(), "start", "idle"])
        until(lambda: running_seconds(where["manager_pid"]) > 0.5, 5)
        poison.unlink()
        assert waiting.wait(STEP_SECONDS + 10) == 0, "the next manager carries it out"
        assert time.monotonic() - start > STEP_SECONDS / 2, "it did spin"
        after = pids(one)
        assert after.pop("idle")[:3] == (one.status("idle")["pid"], 1, "running"), "once"
        before.pop("idle")
        assert after == before and generation(one)["reason"] == "crashed"
