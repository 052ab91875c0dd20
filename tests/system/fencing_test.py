"""A manager that was given up is stopped in the middle of its starts and let go again: no service is ever there twice.

ABIDE_FENCING=10000 runs as many rounds as the promise is about."""
import contextlib
import errno
import json
import os
import pathlib
import random
import signal
import subprocess
import time

from harness import BIN, alive, instance, until

ROUNDS = int(os.environ.get("ABIDE_FENCING", "30"))
COUNT = 12
STRIDE = int(os.environ.get("ABIDE_FENCING_STRIDE", "20"))
TOML = '[project]\nname = "fenced"\n' + "".join(f"""
[services.s{i}]
command = ["sh", "-c", "exec sleep 1000"]
restart = "always"
restart-delay = "1ms"
restart-limit = {{ count = 10000, within = "1s" }}
stop = {{ signal = "KILL" }}
""" for i in range(COUNT))


def anchors_children(anchor):
    with contextlib.suppress(OSError):
        return [int(pid) for pid in pathlib.Path(f"/proc/{anchor}/task/{anchor}/children").read_text().split()]
    return []


def services_of(anchor):
    """pids by service, of those that have executed their program"""
    found = {}
    for pid in anchors_children(anchor):
        with contextlib.suppress(OSError):
            environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            name = next((word[14:].decode() for word in environment if word.startswith(b"ABIDE_SERVICE=")), None)
            if name and alive(pid):
                found.setdefault(name, []).append(pid)
    return found


def unborn(anchor, manager):
    """Children that are still the manager's program: between clone and exec."""
    found = []
    for pid in anchors_children(anchor):
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            if pid != manager and int(fields[6]) & 0x40 and fields[0] not in "ZX":  # PF_FORKNOEXEC
                found.append(pid)
    return found


def stop(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)


def test_a_manager_that_is_given_up_starts_nothing_twice():
    seed = int(os.environ.get("ABIDE_TEST_SEED", "1"))
    draw = random.Random(seed)
    caught = 0
    with instance(TOML) as one:
        anchor = one.where()["anchor_pid"]
        until(lambda: len(services_of(anchor)) == COUNT)
        for round_ in range(ROUNDS):
            manager = one.where()["manager_pid"]
            assert manager > 1
            restart = subprocess.Popen([str(BIN / "abide"), "-C", str(one.folder), "restart", "--no-wait",
                                        *(f"s{i}" for i in range(COUNT))], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stopped, end = [], time.monotonic() + draw.random() * 0.02
            while time.monotonic() < end and not stopped:
                stopped = unborn(anchor, manager)
            for pid in [*stopped, manager]:
                stop(pid)
            caught += bool(stopped)
            with contextlib.suppress(ProcessLookupError):
                os.kill(manager, signal.SIGKILL)  # as the anchor gives up one that hangs
            until(lambda old=manager: one.run("where").returncode == 0 and one.where()["manager_pid"] not in (0, old))
            for pid in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            restart.wait(30)
            if round_ % 10 == 9 or stopped:
                until(lambda: all(one_["state"] == "running" for one_ in one_by_one(one)), 20)
                time.sleep(0.02)
                twice = {name: pids for name, pids in services_of(anchor).items() if len(pids) > 1}
                if twice:  # one of them may just be on its way out
                    time.sleep(0.5)
                    twice = {name: pids for name, pids in services_of(anchor).items() if len(pids) > 1}
                assert not twice, f"round {round_}, seed {seed}: {twice}"
    print(f"{ROUNDS} rounds, {caught} of them with children between clone and exec")


TASK = """
[project]
name = "late"
[services.job]
kind = "task"
command = ["sh", "-c", "echo job >> {dir}/lines"]
autostart = false
"""


def steps(*words):
    step = subprocess.Popen([str(BIN / "abide-step"), *map(str, words)], stdout=subprocess.PIPE, text=True)
    step.stdout.readline()
    return step


def told(step, seconds):
    """(number of the call it acted on or -1, pid)"""
    with contextlib.suppress(subprocess.TimeoutExpired):
        step.wait(seconds)
    step.terminate()
    step.wait(5)
    _, number, pid = step.stdout.read().split()
    return int(number), int(pid)


def start_the_task(one):
    return subprocess.Popen([str(BIN / "abide"), "-C", str(one.folder), "start", "job"], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def children_go_on(one, stride, deny=()):
    """Rounds: the manager is killed when its child is just born, and the next one stopped at a call of its recovery, a later one each
    time.  Meanwhile the child does what it does, to its end where it can."""
    lines, rounds, ran = one.folder / "lines", 0, lambda: (one.folder / "lines").read_text().count("job")
    lines.touch()
    while True:
        at = 1 + rounds * stride
        if deny:
            before, denied = ran(), steps(one.where()["manager_pid"], "deny", *deny)
            start_the_task(one).wait(20)
            until(lambda: one.state("job") in ("completed", "failed"))
            assert told(denied, 0)[0] == deny[0] and ran() == before + 1
        before, anchor, manager = ran(), one.where()["anchor_pid"], one.where()["manager_pid"]
        next_one, birth = steps(anchor, "child", "stop", at), steps(manager, "hold")
        start = start_the_task(one)
        child = told(birth, 5)[1]
        stopped = told(next_one, 1)[0]
        with contextlib.suppress(ProcessLookupError):  # a leftover of a task that has ended meanwhile is killed with its group
            os.kill(child, signal.SIGCONT)
        until(lambda: not alive(child), 5)
        for pid in anchors_children(anchor):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        start.wait(20)
        until(lambda: one.state("job") in ("completed", "failed"))
        time.sleep(0.02)
        assert ran() == before + 1, f"stopped at call {at}: the task ran {ran() - before} times"
        rounds += 1
        if stopped < 0:  # its recovery has fewer calls
            print(f"{rounds} rounds")
            assert rounds > 5, rounds
            return


def test_a_child_that_goes_on_while_the_next_manager_looks_for_it():
    """When the journal has been read and its control group has not been looked at, nobody would know of it."""
    with instance("") as one:
        one.config.write_text(TASK.replace("{dir}", str(one.folder)))
        one.ok("reload-config")
        children_go_on(one, STRIDE)


def test_a_child_that_is_not_in_its_group_yet():
    """Where clone3(2) is not permitted, as in some containers, it goes there by itself, and is nowhere before."""
    with instance("") as one:
        one.config.write_text(TASK.replace("{dir}", str(one.folder)))
        one.ok("reload-config")
        children_go_on(one, 2 * STRIDE, (435, errno.ENOSYS))


def fenced(first_is_known):
    """The child of `job` has not told its pid when the journal is closed to it because of `next`: it ends before its program, which
    says nothing of the service."""
    with instance("") as one:
        jobs = TASK.replace("{dir}", str(one.folder))
        one.config.write_text(jobs + jobs[jobs.index("[services.job]"):].replace("job", "next"))
        one.ok("reload-config")
        manager, children, clients = one.where()["manager_pid"], [], []
        steps_of = ((("job",), "birth"), (("next",), "hold")) if first_is_known else ((("job", "next"), "hold"),)
        for names, deed in steps_of:
            birth = steps(manager, deed)
            clients.append(subprocess.Popen([*one.command(), "start", *names], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            children.append(told(birth, 5)[1])
            if deed == "birth":
                until(lambda: one.status("job").get("pid") == children[0])
        until(lambda: one.run("where").returncode == 0 and one.where()["manager_pid"] not in (0, manager))
        until(lambda: "completed" in (one.state("next"), one.state("job")))
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGCONT)
        assert [client.wait(20) for client in clients] == [0] * len(clients)
        assert sorted((one.folder / "lines").read_text().split()) == ["job", "next"]
        ends = [(event["subject"], event["data"]["exit"].get("code")) for event in one.events() if event["type"].endswith(".exited")]
        assert sorted(ends) == [("job", 0), ("next", 0)], ends


def test_a_child_that_is_fenced_is_not_its_service():
    fenced(first_is_known=False)


def test_a_child_that_is_fenced_and_whose_pid_was_known():
    fenced(first_is_known=True)


def one_by_one(one):
    return json.loads(one.ok("status", "--json"))
