"""Services that are containers, by crun and by runc: made, started, watched, ended, and always deleted."""
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

from harness import BIN, Instance, alive, instance, until

import containers

containers.make_view()

LONG = "echo hello; trap 'exit 0' TERM; while :; do sleep 0.05; done"


@contextlib.contextmanager
def box(runtime, script, more="", up=True, start=False, stop='timeout = "3s"', **config):
    toml = f'[services.box]\noci = {{ bundle = "box", runtime = "{runtime}" }}\nautostart = false\nrestart = "never"\n' \
           f'stop = {{ {stop} }}\n{more}\n'
    with instance(toml, up=False) as one:
        containers.make_bundle(one.folder / "box", script, **config)
        if up:
            result = one.up()
            assert result.returncode == 0, result.stderr + one.supervisor_log()
        if start:
            one.ok("start", "box")
        yield one
        one.run("down", "--timeout", "3s")
        left = containers.known(runtime)
        story = one.run("logs", "box").stdout + one.supervisor_log() if left else ""
    assert left == [], f"a container is left: {story[-3000:]}"
    assert containers.groups() == [], "a control group is left"


def each(test):
    def both():
        assert containers.RUNTIMES, "neither crun nor runc is installed"
        for runtime in containers.RUNTIMES:
            try:
                test(runtime)
            except BaseException as problem:
                for name in containers.known(runtime):
                    subprocess.run([runtime, "delete", "--force", name], check=False, timeout=20)
                raise AssertionError(f"with {runtime}") from problem
    both.__doc__ = test.__doc__
    return both


def events(one, subject="box"):
    return [e["type"].removeprefix("abide.") for e in one.events() if e.get("subject") == subject]


def group_of(pid):
    return next(l for l in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines() if l.startswith("0::"))[3:]


def kill_manager(one):
    pid = one.where()["manager_pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: one.where()["manager_pid"] not in (0, pid), 10)


def runtime_state(runtime):
    [name] = containers.known(runtime)
    return json.loads(subprocess.run([runtime, "state", name], capture_output=True, check=True).stdout)["status"]


def code(one):
    return (one.status("box")["last_exit"] or {}).get("code")


@each
def test_life(runtime):
    with box(runtime, LONG) as one:
        one.ok("create", "box")
        status = one.status("box")
        assert status["state"] == "created" and alive(status["pid"]), status
        assert "hello" not in one.run("logs", "box").stdout
        [name] = containers.known(runtime)
        assert name.startswith("box-")
        state = json.loads(subprocess.run([runtime, "state", name], capture_output=True, check=True).stdout)
        assert state["status"] == "created" and state["pid"] == status["pid"]
        group = group_of(status["pid"])
        assert "/box+r" in group and group.endswith("/container"), group
        one.ok("start", "box")
        assert one.status("box")["pid"] == status["pid"] and one.state("box") == "running"
        until(lambda: "hello" in one.ok("logs", "box"))
        one.ok("stop", "box")
        assert one.state("box") == "inactive" and not alive(status["pid"])
        assert containers.known(runtime) == []
        seen = events(one)
        wanted = ["service.starting", "service.created", "service.started", "service.ready", "service.stopping",
                  "process.exited", "service.stopped"]
        assert seen == wanted, seen


@each
def test_no_process_beside_the_container(runtime):
    with box(runtime, "exec sleep 1000", start=True) as one:
        pid = one.status("box")["pid"]
        leaf = pathlib.Path("/sys/fs/cgroup" + group_of(pid)).parent
        members = [int(p) for path in leaf.rglob("cgroup.procs") for p in path.read_text().split()]
        assert members == [pid], members
        where = one.where()
        own = {where["anchor_pid"], where["manager_pid"], where["logger_pid"]}
        children = {int(p) for p in pathlib.Path(f"/proc/{where['anchor_pid']}/task/{where['anchor_pid']}/children")
                    .read_text().split()}
        assert children - own == {pid}, children


@each
def test_status_is_true_however_short_it_lives(runtime):
    with box(runtime, "exit 7") as one:
        for _ in range(5):
            one.run("start", "box")
            one.reaches("box", "failed")
            assert code(one) == 7
        seen = events(one)
        for name in ("service.created", "service.started", "process.exited", "service.failed"):
            assert seen.count(name) == 5, seen
        order = [e for e in seen if e in ("service.started", "process.exited")]
        assert order == ["service.started", "process.exited"] * 5


@each
def test_killed_and_signalled(runtime):
    with box(runtime, "exec sleep 1000", start=True) as one:
        os.kill(one.status("box")["pid"], signal.SIGKILL)
        one.reaches("box", "failed")
        assert one.status("box")["last_exit"]["signal"] == "KILL"


@each
def test_a_task_ends_well(runtime):
    with box(runtime, "echo done", more='kind = "task"') as one:
        one.ok("start", "box")
        assert one.state("box") == "completed" and "done" in one.ok("logs", "box")


@each
def test_the_manager_dies_between_create_and_start(runtime):
    with box(runtime, LONG) as one:
        one.ok("create", "box")
        pid = one.status("box")["pid"]
        kill_manager(one)
        assert one.state("box") == "created" and one.status("box")["pid"] == pid
        one.ok("start", "box")
        assert one.status("box")["pid"] == pid and one.state("box") == "running"
        kill_manager(one)
        assert one.status("box")["pid"] == pid and one.state("box") == "running"
        one.ok("stop", "box")
        assert not alive(pid)


@each
def test_the_manager_dies_while_the_container_ends(runtime):
    with box(runtime, "while ! test -e /tmp/end; do sleep 0.01; done; exit 9") as one:
        for turn in range(6):
            one.ok("start", "box")
            manager = one.where()["manager_pid"]
            (one.folder / "box/rootfs/tmp/end").touch()
            time.sleep(turn * 0.005)
            os.kill(manager, signal.SIGKILL)
            until(lambda: one.status("box")["state"] == "failed", 10)
            assert code(one) == 9, one.status("box")
            (one.folder / "box/rootfs/tmp/end").unlink()


@each
def test_the_manager_dies_anywhere_in_a_start(runtime):
    with box(runtime, LONG) as one:
        for turn in range(10):
            manager = one.where()["manager_pid"]
            starter = threading.Thread(target=lambda: one.run("start", "box"))
            starter.start()
            time.sleep(turn * 0.004)
            os.kill(manager, signal.SIGKILL)
            starter.join()
            one.ok("start", "box")
            assert one.state("box") == "running" and len(containers.known(runtime)) == 1
            one.ok("stop", "box")
            assert containers.known(runtime) == [], one.ok("logs", "box")[-2000:] + one.ok("why", "box")


def fails(one, word=""):
    result = one.run("start", "box")
    assert result.returncode == 1, result
    one.reaches("box", "failed")
    story = one.run("logs", "box").stdout + one.ok("why", "box")
    assert word in story, story


@each
def test_the_bundle_is_missing(runtime):
    with box(runtime, "true") as one:
        (one.folder / "box/config.json").unlink()
        fails(one, "config.json")


@each
def test_the_bundle_is_broken(runtime):
    with box(runtime, "true") as one:
        for text, word in (('{"ociVersion": "1.0.0", ', "not JSON"), ("[]", "not a JSON object"), ("{}", "process"),
                           ('{"process": {"args": ["x"]}}', "root.path"),
                           ('{"process": {"args": ["x"], "terminal": "yes"}, "root": {"path": "rootfs"}}', "terminal")):
            (one.folder / "box/config.json").write_text(text)
            fails(one, word)


@each
def test_the_program_is_missing(runtime):
    with box(runtime, "true") as one:
        made = containers.config("true")
        made["process"]["args"] = ["/no/such/program"]
        (one.folder / "box/config.json").write_text(json.dumps(made))
        fails(one, "no/such/program")


def test_the_runtime_is_unknown():
    with instance('[services.box]\noci = { bundle = "box", runtime = "no-such-runtime" }\nautostart = false\nrestart = "never"\n',
                  up=False) as one:
        containers.make_bundle(one.folder / "box", "true")
        one.up()
        fails(one, "no-such-runtime")
        assert one.run("logs", "box").stdout.count("no runtime") == 1, one.run("logs", "box").stdout
        checked = one.run("check")
        assert checked.returncode == 0 and "warning: services.box: there is no runtime" in checked.stderr, checked
        for name, word in (("box/config.json", "no config.json"), ("box", "there is no bundle")):
            (one.folder / name).rename(one.folder / "elsewhere")
            assert word in one.run("check").stderr
            (one.folder / "elsewhere").rename(one.folder / name)
        (one.folder / "abide.toml").write_text(one.config.read_text().replace("no-such-runtime", containers.RUNTIMES[0]))
        assert "warning" not in one.run("check").stderr


@each
def test_why_it_was_not_created_is_told_without_a_log(runtime):
    with box(runtime, "true", more='log = "none"') as one:
        made = containers.config("true")
        made["process"]["args"] = ["/no/such/program"]
        for change, word in ((lambda path: path.write_text(json.dumps(made)), "no/such/program"), (os.unlink, "config.json")):
            change(one.folder / "box/config.json")
            started = one.run("start", "box")
            assert started.returncode == 1 and word in started.stderr, started
            failed = [e for e in one.events() if e["type"] == "abide.service.failed"][-1]
            assert word in failed["data"]["detail"], failed
            assert word in one.ok("why", "box")


def hooks(kind, script):
    return {"hooks": {kind: [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}}


@each
def test_a_hook_fails(runtime):
    for kind in ("prestart", "createRuntime"):
        with box(runtime, "exec sleep 1000", **hooks(kind, "exit 3")) as one:
            fails(one)


@each
def test_a_hook_hangs(runtime):
    with box(runtime, "exec sleep 1000", more='ready = { delay = "10ms", timeout = "1s" }',
             **hooks("prestart", "exec sleep 60")) as one:
        start = time.monotonic()
        fails(one)
        assert time.monotonic() - start < 15


@each
def test_the_runtime_is_killed_while_it_creates(runtime):
    with box(runtime, "exec sleep 1000", **hooks("prestart", "test -e /tmp/abide-oci-go || exec sleep 60")) as one:
        with contextlib.suppress(FileNotFoundError):
            os.unlink("/tmp/abide-oci-go")
        starter = threading.Thread(target=lambda: one.run("start", "box"))
        starter.start()

        def helper():
            detail = json.loads(one.ok("status", "box", "--json"))[0]["detail"]
            return [p["pid"] for r in detail["runs"] for p in r["processes"] if p["role"] == "container-create"]
        pid = until(helper)[0]
        time.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
        starter.join()
        one.reaches("box", "failed")
        assert containers.known(runtime) == []
        pathlib.Path("/tmp/abide-oci-go").touch()
        one.ok("start", "box")
        os.unlink("/tmp/abide-oci-go")
        assert one.state("box") == "running"


@each
def test_an_id_that_is_somebody_elses_is_left_alone(runtime):
    with box(runtime, LONG, start=True) as one:
        [name] = containers.known(runtime)
        one.ok("stop", "box")
        other = containers.make_bundle(one.folder / "other", "exec sleep 1000")
        subprocess.run([runtime, "create", "--bundle", str(other), name], check=True, stdout=subprocess.DEVNULL, timeout=20)
        fails(one, "exists")
        # The delete that always follows must not have taken it.
        assert containers.known(runtime) == [name]
        subprocess.run([runtime, "delete", "--force", name], check=True, timeout=20)


@each
def test_one_that_was_left_over_is_deleted_first(runtime):
    with box(runtime, LONG, start=True) as one:
        [name] = containers.known(runtime)
        folder = json.loads(subprocess.run([runtime, "state", name], capture_output=True, check=True).stdout)["bundle"]
        kept = pathlib.Path(folder, "config.json").read_text()
        one.ok("stop", "box")
        pathlib.Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        pathlib.Path(folder, "config.json").write_text(kept)
        subprocess.run([runtime, "create", "--bundle", folder, name], check=True, stdout=subprocess.DEVNULL, timeout=20)
        one.ok("start", "box")
        assert one.state("box") == "running" and containers.known(runtime) == [name]


@each
def test_pause_and_checks_inside(runtime):
    more = 'health = { exec = ["/bin/test", "-e", "/tmp/well"], every = "100ms", failures = 1, action = "none" }'
    script = "trap 'exit 0' TERM; i=0; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.01; done"
    with box(runtime, script, more=more, start=True) as one:
        until(lambda: "unhealthy" in one.status("box")["conditions"])
        (one.folder / "box/rootfs/tmp/well").touch()
        until(lambda: "healthy" in one.status("box")["conditions"])
        count = one.folder / "box/rootfs/tmp/count"
        one.ok("pause", "box")
        time.sleep(0.1)
        before = count.read_text()
        time.sleep(0.2)
        assert one.state("box") == "paused" and count.read_text() == before
        assert runtime_state(runtime) == "paused"
        one.ok("unpause", "box")
        assert runtime_state(runtime) == "running"
        until(lambda: count.read_text() != before)


@each
def test_stop_kills_what_does_not_hear(runtime):
    with box(runtime, "trap : TERM; while :; do sleep 0.05; done", more='', start=True) as one:
        time.sleep(0.1)
        start = time.monotonic()
        one.ok("stop", "box")
        assert one.status("box")["last_exit"]["signal"] == "KILL" and time.monotonic() - start < 10


@each
def test_commands_run_inside(runtime):
    """Only inside there is a /bin/busybox of ours that has written the marks."""
    tells = '["/bin/sh", "-c", "echo %s >> /tmp/told"]'
    more = f'reload = {{ command = {tells % "reload"} }}'
    with box(runtime, LONG, more=more, start=True, stop=f'timeout = "3s", command = {tells % "stop"}') as one:
        told = one.folder / "box/rootfs/tmp/told"
        one.ok("reload", "box")
        assert told.read_text() == "reload\n" and one.state("box") == "running"
        one.ok("stop", "box")
        assert told.read_text() == "reload\nstop\n"
        assert "service.reloaded" in events(one)


@each
def test_kill_and_force_destroy(runtime):
    script = "(trap 'echo child' USR1; while :; do sleep 0.05; done) & trap 'echo main' USR1; echo up; " \
             "while :; do sleep 0.05; done"
    with box(runtime, script, start=True, stop='timeout = "60s"') as one:
        until(lambda: "up" in one.ok("logs", "box"))
        time.sleep(0.1)
        one.ok("kill", "box", "--signal", "USR1")
        until(lambda: "main" in one.ok("logs", "box"))
        assert "child" not in one.ok("logs", "box")
        one.ok("kill", "box", "--signal", "USR1", "--who", "all")
        until(lambda: "child" in one.ok("logs", "box"))
        start = time.monotonic()
        one.ok("force-destroy", "box")
        assert one.state("box") == "inactive" and time.monotonic() - start < 30
        assert containers.known(runtime) == [] and containers.groups() == []


@each
def test_a_created_one_is_stopped_waited_for_and_removed(runtime):
    with box(runtime, "exec sleep 1000") as one:
        waiting = subprocess.Popen([str(BIN / "abide"), "-C", str(one.folder), "wait", "box", "--for", "created",
                                    "--timeout", "10s"], stdout=subprocess.DEVNULL)
        one.ok("create", "box")
        assert waiting.wait(timeout=10) == 0
        one.ok("stop", "box")
        assert one.state("box") == "inactive" and containers.known(runtime) == []
        one.ok("create", "box")
        pid = one.status("box")["pid"]
        one.ok("remove", "box")
        assert not alive(pid) and containers.known(runtime) == [] and one.run("status", "box").returncode == 3


@each
def test_the_end_of_the_instance_deletes_it(runtime):
    with box(runtime, LONG, start=True) as one:
        one.ok("down")
        assert containers.known(runtime) == []


class AsUser(Instance):
    """An instance of a plain user, who has no control group to give away."""
    UID = 1234

    def run(self, *words, timeout=20, text=True, stdin=None):
        user = ["setpriv", f"--reuid={self.UID}", f"--regid={self.UID}", "--clear-groups", "env", "-i",
                "PATH=" + os.environ["PATH"] + ":/usr/sbin", f"XDG_RUNTIME_DIR=/run/user/{self.UID}", f"HOME={self.folder}"]
        return subprocess.run([*user, str(BIN / "abide"), "-C", str(self.folder), *words], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=text, timeout=timeout, input=stdin)

    def take(self):
        home = pathlib.Path(f"/run/user/{self.UID}")
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)
        subprocess.run(["chown", "-R", f"{self.UID}:{self.UID}", str(self.folder), str(home)], check=True)


@each
def test_rootless(runtime):
    one = AsUser(f'[services.box]\noci = {{ bundle = "box", runtime = "{runtime}" }}\nautostart = false\nrestart = "never"\n'
                 'stop = { timeout = "3s" }\n')
    try:
        made = containers.config("")
        mapping = [{"containerID": 0, "hostID": AsUser.UID, "size": 1}]
        made["linux"]["namespaces"].append({"type": "user"})
        made["linux"].update(uidMappings=mapping, gidMappings=mapping)
        for script, status in ((LONG, 0), ("exit 7", 7)):
            containers.make_bundle(one.folder / "box", script, linux=made["linux"])
            one.take()
            one.up()
            one.run("start", "box")
            if status:
                one.reaches("box", "failed")
                assert code(one) == status
                continue
            assert one.state("box") == "running", one.supervisor_log() + one.run("logs", "box").stdout
            pid = one.status("box")["pid"]
            until(lambda: "hello" in one.ok("logs", "box"))
            kill_manager(one)
            assert one.status("box")["pid"] == pid
            one.ok("stop", "box")
            assert not alive(pid)
    finally:
        one.close()


@each
def test_the_event_operation(runtime):
    with box(runtime, LONG) as one:
        # The one that comes first waits, the one that comes later is told what was.
        early = subprocess.Popen([str(BIN / "abide"), "-C", str(one.folder), "oci", "event", "--event", "created", "box"],
                                 stdout=subprocess.PIPE, text=True)
        time.sleep(0.1)
        one.ok("create", "box")
        [name] = containers.known(runtime)
        first = json.loads(early.communicate(timeout=10)[0])
        assert early.returncode == 0 and first["type"] == "created" and first["id"] == name, first
        assert first["pid"] == one.status("box")["pid"]
        assert json.loads(one.ok("oci", "event", "--event", "created", name)) == first
        assert one.run("oci", "event", "-H", "--event", "created", "--timeout", "100ms", name).returncode == 6
        assert one.run("oci", "event", "--event", "nonsense", name).returncode == 2
        one.ok("start", "box")
        one.ok("pause", "box")
        one.ok("unpause", "box")
        one.ok("stop", "box")
        whole = [json.loads(line)["type"] for line in one.ok("oci", "event", name).splitlines()]
        assert whole == ["created", "started", "paused", "resumed", "stopped"], whole
        # The id is used again: what was before is not of this life.
        one.ok("create", "box")
        assert [json.loads(l)["type"] for l in one.run("oci", "event", "--timeout", "100ms", "box").stdout.splitlines()] == ["created"]
