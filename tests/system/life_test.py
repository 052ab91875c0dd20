"""The main job: bring a stack up in order, keep it up, survive the manager, stop it in order, leave nothing behind."""
import grp
import json
import os
import pathlib
import pwd
import re
import signal
import subprocess
import time

from harness import alive, instance, needs_root, until

STACK = """
[services.db]
command = ["sleep", "1000"]
[services.api]
command = ["sleep", "1000"]
requires = ["db"]
[services.migrate]
kind = "task"
command = ["true"]
requires = ["db"]
"""


def test_up_status_down():
    with instance(STACK) as one:
        assert one.state("db") == "running" and one.state("api") == "running"
        one.reaches("migrate", "completed")
        pids = [one.status(n)["pid"] for n in ("db", "api")]
        own = one.where()
        one.ok("down")
        assert not any(alive(p) for p in pids)
        assert not any(alive(own[k]) for k in ("anchor_pid", "manager_pid"))
        assert one.run("status").returncode == 4


def test_a_killed_service_is_back():
    with instance(STACK) as one:
        old = one.status("db")["pid"]
        os.kill(old, signal.SIGKILL)
        until(lambda: one.status("db")["pid"] not in (old, None) and one.state("db") == "running")
        last = one.status("db")["last_exit"]
        assert last["signal"] in (9, "KILL", "SIGKILL"), last
        assert one.status("db")["restarts"] == 1


def test_the_manager_may_be_killed_at_any_time():
    with instance(STACK) as one:
        pids = {n: one.status(n)["pid"] for n in ("db", "api")}
        for _ in range(10):
            manager = one.where()["manager_pid"]
            os.kill(manager, signal.SIGKILL)
            until(lambda: one.where()["manager_pid"] != manager)
            assert {n: one.status(n)["pid"] for n in pids} == pids
        os.kill(pids["db"], signal.SIGKILL)
        until(lambda: one.status("db")["pid"] not in (pids["db"], None))


def test_an_exit_while_no_manager_lives_is_not_lost():
    toml = '[services.a]\ncommand = ["sh", "-c", "sleep 0.4; exit 3"]\nrestart = "never"\n'
    with instance(toml) as one:
        manager = one.where()["manager_pid"]
        os.kill(manager, signal.SIGSTOP)
        time.sleep(0.8)
        os.kill(manager, signal.SIGKILL)
        one.reaches("a", "failed")
        assert one.status("a")["last_exit"]["code"] == 3


def test_events_have_no_gap_over_a_crash():
    with instance(STACK) as one:
        os.kill(one.where()["manager_pid"], signal.SIGKILL)
        one.ok("restart", "db")
        folder = one.where()["events"]
        ids = []
        for name in sorted(os.listdir(folder)):
            if name.endswith(".jsonl"):
                ids += [int(json.loads(line)["id"]) for line in open(os.path.join(folder, name))]
        assert ids == list(range(1, len(ids) + 1)), ids


def test_stop_is_for_good_and_takes_dependents_along():
    with instance(STACK) as one:
        one.ok("stop", "db")
        assert one.state("db") == "inactive" and one.state("api") == "inactive"
        one.ok("start", "api")
        assert one.state("db") == "running" and one.state("api") == "running"


def test_restart_gives_a_new_process():
    with instance(STACK) as one:
        old = one.status("api")["pid"]
        one.ok("restart", "api")
        assert one.status("api")["pid"] != old and not alive(old)


def test_a_second_up_starts_what_is_missing():
    with instance(STACK) as one:
        one.ok("stop", "api")
        assert one.up().returncode == 0
        assert one.state("api") == "inactive", "a stop by hand lasts until a start by hand"
        assert one.up("api").returncode == 0
        one.reaches("api", "running")


def test_status_answers_while_a_start_hangs():
    toml = STACK + '[services.slow]\ncommand = ["sleep", "100"]\nready = { notify = true, timeout = "50s" }\nautostart = false\n'
    with instance(toml) as one:
        one.ok("start", "slow", "--no-wait")
        start = time.monotonic()
        assert one.state("slow") == "starting"
        assert time.monotonic() - start < 1
        assert one.run("start", "slow", "--timeout", "200ms").returncode == 6
        one.ok("force-destroy", "slow")
        assert one.state("slow") == "inactive"


def test_foreground_up_stops_in_order_on_interrupt():
    from harness import BIN
    with instance(STACK, up=False) as one:
        process = subprocess.Popen([str(BIN / "abide"), "-C", str(one.folder), "up"], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        until(lambda: one.run("status").returncode == 0 and one.state("api") == "running")
        pid = one.status("db")["pid"]
        process.send_signal(signal.SIGINT)
        shown = process.communicate(timeout=10)[0].decode()
        assert process.returncode == 0
        assert not alive(pid)
        # What became of them stands between their own lines.
        assert re.search(rf"^db +\* ready after \d+ms, pid {pid}$", shown, re.M), shown
        assert re.search(r"^api +\* stopped$[^$]*^db +\* stopped$", shown, re.M), shown


def test_foreground_up_shows_why_a_service_comes_again():
    from harness import BIN
    with instance('[services.a]\ncommand = ["sh", "-c", "sleep 0.1; exit 3"]\n', up=False) as one:
        process = subprocess.Popen([str(BIN / "abide"), "-C", str(one.folder), "up"], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        seen = ""
        while "again in" not in seen:
            seen += process.stdout.readline().decode()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        assert re.search(r"^a \* ended: exited with 3; again in \d+ms$", seen, re.M), seen


def test_a_stop_that_comes_with_its_start():
    """Both are read in one turn of the manager, so the stop is decided before the process is born."""
    with instance('[services.slow]\ncommand = ["sleep", "1000"]\nautostart = false\n') as one:
        manager = one.where()["manager_pid"]
        os.kill(manager, signal.SIGSTOP)
        asked = []
        for verb in ("start", "stop"):
            asked.append(subprocess.Popen([*one.command(), verb, "slow"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            time.sleep(0.2)  # in this order
        os.kill(manager, signal.SIGCONT)
        for client in asked:
            client.wait(20)
        ends = [e["data"]["exit"] for e in one.events() if e["type"] == "abide.process.exited"]
        assert all(end.get("signal") == "TERM" for end in ends), ends


def test_essential_ends_the_instance_with_its_status():
    from harness import BIN
    toml = '[services.a]\ncommand = ["sh", "-c", "sleep 0.3; exit 7"]\nrestart = "never"\nessential = true\n' \
           '[services.b]\ncommand = ["sleep", "1000"]\n'
    with instance(toml, up=False) as one:
        result = subprocess.run([str(BIN / "abide"), "-C", str(one.folder), "up"], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=20)
        assert result.returncode == 7, result


def test_what_follows_a_kill_runs():
    # Linux 6.14 kills what is born into a group that was killed before: the post-stop command must not be.
    toml = '[services.a]\ncommand = ["sh", "-c", "trap : TERM; while :; do sleep 0.05; done"]\nautostart = false\n' \
           'stop = { timeout = "100ms" }\npost-stop = [["touch", "after"]]\n' \
           '[services.b]\ncommand = ["sh", "-c", "trap : TERM; while :; do sleep 0.05; done"]\nautostart = false\n' \
           'stop = { timeout = "100ms" }\npost-stop = [["sh", "-c", "sleep 0.5; echo >> after-b"]]\n'
    with instance(toml) as one:
        for _ in range(3):
            one.ok("start", "a")
            time.sleep(0.05)
            one.ok("stop", "a")
            (one.folder / "after").unlink()
        # Nor where the manager that killed is another one than the one that goes on.
        one.ok("start", "b")
        time.sleep(0.05)
        one.ok("stop", "b", "--no-wait")
        until(lambda: one.status("b")["stage"] == "post-stop")
        manager = one.where()["manager_pid"]
        os.kill(manager, signal.SIGKILL)
        one.reaches("b", "inactive")
        assert (one.folder / "after-b").read_text() == "\n"


def test_what_a_service_is_set_up_with():
    """Each of these from abide.toml into the process, as the kernel has it."""
    needs_root()
    toml = '[services.a]\ncommand = ["sleep", "1000"]\nuser = "nobody"\ngroups = ["adm", "12345"]\n' \
           'limits = { nice = 7, umask = "027", nofile = { soft = 100, hard = 200 }, oom-score-adjust = 321 }\n' \
           'sandbox = { no-new-privileges = true, capabilities = ["CAP_NET_BIND_SERVICE"] }\n' \
           '[services.plain]\ncommand = ["sleep", "1000"]\n'
    with instance(toml) as one:
        def told(service):
            pid = one.status(service)["pid"]
            lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
            status = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
            limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
            nofile = next(line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files"))
            return pid, status, nofile
        pid, status, nofile = told("a")
        nobody = pwd.getpwnam("nobody")
        assert status["Uid"] == [str(nobody.pw_uid)] * 4 and status["Gid"] == [str(nobody.pw_gid)] * 4, status
        own = set(os.getgrouplist("nobody", nobody.pw_gid))
        assert set(map(int, status["Groups"])) == own | {grp.getgrnam("adm").gr_gid, 12345}, status["Groups"]
        assert status["Umask"] == ["0027"] and nofile == ["100", "200"], (status["Umask"], nofile)
        assert os.getpriority(os.PRIO_PROCESS, pid) == 7
        assert pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "321"
        assert status["NoNewPrivs"] == ["1"] and int(status["CapBnd"][0], 16) == 1 << 10, status
        assert int(status["CapInh"][0], 16) & ~(1 << 10) == 0
        # Nothing of it rubs off on anybody else.
        other, status, nofile = told("plain")
        assert status["Uid"] == [str(os.geteuid())] * 4 and status["NoNewPrivs"] == ["0"]
        assert os.getpriority(os.PRIO_PROCESS, other) == os.getpriority(os.PRIO_PROCESS, 0)
        for manager in (one.where()["manager_pid"], one.where()["anchor_pid"]):
            assert os.getpriority(os.PRIO_PROCESS, manager) == os.getpriority(os.PRIO_PROCESS, 0)
            assert pathlib.Path(f"/proc/{manager}/oom_score_adj").read_text() != "321\n"
