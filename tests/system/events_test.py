"""Events that can't be missed: the log as files, the commands that read it, emit, wait in every order, and the same stream
over the control socket; what is left after a kill, a restart of the instance, a lost reservation, a full file system."""
import fcntl
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

from harness import BIN, Instance, alive, instance, until, needs_root

ROUNDS = int(os.environ.get("ABIDE_RACE_ROUNDS", "60"))
TOML = """
[project]
name = "shop"
[services.db]
command = ["sleep", "1000"]
[services.api]
command = ["sleep", "1000"]
requires = ["db"]
[services.idle]
command = ["sleep", "1000"]
autostart = false
[services.job]
kind = "task"
command = ["true"]
autostart = false
"""


def test_a_subscription_in_the_first_moment_of_a_manager():
    with instance(TOML) as one:
        where = one.where()
        for _ in range(10):
            os.kill(one.where()["manager_pid"], signal.SIGKILL)
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(10)
                client.connect(where["control"])
                client.sendall(b'{"method":"io.abide.Control.Subscribe","more":true,"parameters":{"since":"start"}}\0')
                reply = client.recv(65536)
                assert reply and b'"error"' not in reply, reply


def spawn(one, *words):
    return subprocess.Popen([str(BIN / "abide"), "-C", str(one.folder), *words], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def finish(process, status=0, seconds=20):
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == status, f"{process.args}: {process.returncode}\n{out}{err}"
    return out


def check_numbers(events):
    """Ids without holes; a gap stands for its own."""
    for before, after in zip(events, events[1:]):
        first = int(after["data"].get("from", after["id"])) if after["type"] == "abide.stream.gap" else int(after["id"])
        assert first == int(before["id"]) + 1, (before, after)


def test_the_log_is_files_in_the_form_of_the_contract():
    with instance(TOML) as one:
        where = one.where()
        folder = pathlib.Path(where["events"])
        segment = folder / "00000000000000000001.jsonl"
        assert segment.exists() and (segment.stat().st_mode & 0o7777) == 0o640
        assert (folder / "doorbell").exists()
        events = one.events()
        check_numbers(events)
        assert events[0]["type"] == "abide.supervisor.started" and events[0]["id"] == "00000000000000000001"
        assert all(e["source"] == "/abide/shop" and e["specversion"] == "1.0" for e in events)
        ids = {e["id"]: e for e in events}
        starting = next(e for e in events if e["type"] == "abide.service.starting" and e["subject"] == "api")
        cause = ids[starting["data"]["cause"]]
        assert (cause["type"], cause["subject"]) == ("abide.service.ready", "db"), cause
        for event in events[1:]:
            assert event["data"].get("cause", "") < event["id"] and "cause" in event["data"], event


def test_events_and_its_filters():
    with instance(TOML) as one:
        lines = one.ok("--json", "events").splitlines()
        assert [json.loads(line)["id"] for line in lines] == [e["id"] for e in one.events()]
        only = [json.loads(line) for line in one.ok("--json", "events", "--service", "d*", "--type", "ready").splitlines()]
        assert [(e["subject"], e["type"]) for e in only] == [("db", "abide.service.ready")]
        since = one.ok("--json", "events", "--since", "3").splitlines()
        assert json.loads(since[0])["id"] == "00000000000000000004" and len(since) == len(lines) - 3
        assert one.ok("--json", "events", "--since", "start").splitlines() == lines
        assert one.ok("--json", "events", "--since", "10m").splitlines() == lines
        assert one.ok("--json", "events", "--since", "4@/abide/shop").splitlines() == lines[4:]
        assert "service.ready db run 1" in one.ok("events", "--type", "service.ready")
        both = one.ok("--json", "events", "--since", "start", "--service", "d*", "--service", "api", "--type", "service.ready",
                      "--type", "process").splitlines()
        assert [json.loads(line)["subject"] for line in both] == ["db", "api"], both
        snapshot = [json.loads(line) for line in one.ok("--json", "events", "--snapshot").splitlines()]
        assert sorted(e["subject"] for e in snapshot) == ["api", "db"]
        for words, status, told in ((("--type", "service.redy"), 3, "service.ready"), (("--since", "99999"), 2, "beyond"),
                                    (("--since", "3@/abide/other"), 2, "/abide/other"), (("--since", "x"), 2, "10m")):
            result = one.run("events", *words)
            assert result.returncode == status and told in result.stderr, (words, result)
            assert result.stderr.count("\n") == 1


def test_follow_survives_the_manager_and_the_instance():
    with instance(TOML) as one:
        follower = spawn(one, "--json", "events", "-f", "--since", "start")
        manager = one.where()["manager_pid"]
        os.kill(manager, signal.SIGKILL)
        until(lambda: one.where()["manager_pid"] not in (0, manager))
        one.ok("stop", "api")
        one.ok("down")
        events = one.folder / "abide.toml"
        assert events.exists()
        result = one.up()
        assert result.returncode == 0, result.stderr
        one.ok("stop", "db")
        time.sleep(0.3)
        follower.terminate()
        out, _ = follower.communicate(timeout=10)
        seen = [json.loads(line) for line in out.splitlines()]
        check_numbers(seen)
        assert seen == one.events()
        types = [e["type"] for e in seen]
        assert types.count("abide.supervisor.started") == 2 and "abide.supervisor.recovered" in types
        assert "abide.stream.gap" not in types, "a clean end gives back the ids that were reserved"


def test_ids_are_never_used_again():
    one = Instance(TOML)
    try:
        assert one.up().returncode == 0
        where = one.where()
        last = int(one.events()[-1]["id"])
        # As after a power cut: everything in memory is gone, the log folder is not.
        everybody = [where["anchor_pid"], where["manager_pid"], where["logger_pid"]]
        everybody += [one.status(name)["pid"] for name in ("db", "api")]
        for pid in filter(None, everybody):
            os.kill(pid, signal.SIGKILL)
        until(lambda: not any(alive(pid) for pid in everybody if pid))
        subprocess.run(["rm", "-rf", where["events"]], check=True)
        assert one.up().returncode == 0
        first = one.events()[0]
        assert int(first["id"]) > last and first["source"] == "/abide/shop", first
        old = one.ok("--json", "events", "--since", str(last)).splitlines()
        gap = json.loads(old[0])
        assert gap["type"] == "abide.stream.gap" and int(gap["data"]["from"]) == last + 1, gap
        assert int(gap["data"]["to"]) == int(first["id"]) - 1
        # And the reservation is lost as well: a new stream, in which an old cursor meets a gap.
        last = int(one.events()[-1]["id"])
        one.ok("down")
        subprocess.run(["rm", "-rf", where["events"]], check=True)
        (one.folder / ".abide/log/event-ids").unlink()
        assert one.up().returncode == 0
        first = one.events()[0]
        assert first["source"].startswith("/abide/shop#") and int(first["id"]) > last, first
        gap = json.loads(one.ok("--json", "events", "--since", f"{last}@/abide/shop").splitlines()[0])
        assert gap["type"] == "abide.stream.gap" and gap["source"] == first["source"], gap
    finally:
        one.close()


def test_wait_is_true_before_and_after():
    with instance(TOML) as one:
        assert "service.ready api" in one.ok("wait", "api", "--for", "ready", "--timeout", "0")
        event = json.loads(one.ok("--json", "wait", "api", "--for", "started", "--timeout", "0"))
        assert event["type"] == "abide.service.started" and event["data"]["run"] == 1
        assert one.run("wait", "api", "--for", "stopped", "--timeout", "0").returncode == 6
        assert one.run("wait", "idle", "--for", "started", "--timeout", "50ms").returncode == 6
        result = one.run("wait", "nobody", "--for", "ready", "--timeout", "0")
        assert result.returncode == 3 and "nobody" in result.stderr
        result = one.run("wait", "api", "--for", "redy")
        assert result.returncode == 3 and "ready" in result.stderr
        # The wait first, then the event.
        waiting = spawn(one, "wait", "idle", "--for", "ready", "--timeout", "10s")
        time.sleep(0.2)
        one.ok("start", "idle")
        assert "service.ready idle run 1" in finish(waiting)
        # An old run is not this one: after a stop nothing is ready.
        one.ok("stop", "idle")
        assert one.run("wait", "idle", "--for", "ready", "--timeout", "0").returncode == 6
        assert "service.stopped idle" in one.ok("wait", "idle", "--for", "stopped", "--timeout", "0")
        again = spawn(one, "wait", "idle", "--for", "ready", "--timeout", "10s")
        one.ok("start", "idle")
        assert "run 2" in finish(again)
        # With a cursor the past counts from there.
        cursor = json.loads(one.ok("--json", "events").splitlines()[-1])["id"]
        one.ok("stop", "idle")
        assert "stopping idle" in one.ok("wait", "idle", "--for", "stopping", "--since", cursor, "--timeout", "0")
        assert one.run("wait", "idle", "--for", "starting", "--since", cursor, "--timeout", "0").returncode == 6
        # A task that was over at once.
        one.ok("start", "job")
        for goal in ("started", "completed", "process.exited"):
            assert "job" in one.ok("wait", "job", "--for", goal, "--timeout", "0")


def test_what_is_so_is_known_when_the_log_has_forgotten_how_it_began():
    with instance(TOML + '\n[events]\nmax-size = "256K"\n') as one:
        began = one.events()
        for number in range(60):
            one.ok("emit", f"fill{number}", "text=" + "x" * 8000)
        kept = one.events()
        assert kept[0]["id"] > began[-1]["id"], "nothing was forgotten"
        os.kill(one.where()["manager_pid"], signal.SIGKILL)
        for goal in ("started", "ready"):
            assert f"service.{goal} db" in one.ok("wait", "db", "--for", goal, "--timeout", "0"), goal
        snapshot = [json.loads(line) for line in one.ok("--json", "events", "--snapshot").splitlines()]
        assert sorted(e["subject"] for e in snapshot if "subject" in e) == ["api", "db"]
        assert "service.ready" in one.ok("status", "db")
        assert "db" in one.ok("analyze")
        assert one.ok("why", "api").count("service.") >= 2
        one.ok("stop", "api")
        assert one.run("wait", "api", "--for", "ready", "--timeout", "0").returncode == 6
        for number in range(60):
            one.ok("emit", f"fill{number}", "text=" + "x" * 8000)
        snapshot = [json.loads(line) for line in one.ok("--json", "events", "--snapshot").splitlines()]
        assert [e["type"] for e in snapshot if e.get("subject") == "api"] == ["abide.service.stopped"]


def test_wait_looks_at_all_that_is_there():
    """Whatever the time that it has."""
    with instance(TOML) as one:
        assert "service.ready api" in one.ok("wait", "api", "--for", "ready", "--since", "start", "--timeout", "0")
        assert "service.ready api" in one.ok("wait", "api", "--for", "ready", "--since", "10m", "--timeout", "0")
        assert "supervisor.started" in one.ok("wait", "api", "--for", "supervisor.started", "--since", "start", "--timeout", "0")
        assert one.run("wait", "api", "--for", "stream.gap").returncode == 2
        assert one.run("wait", "idle", "--for", "stopped", "--timeout", "0").returncode == 6, "it has never run"


def test_wait_without_a_supervisor():
    with instance(TOML) as one:
        one.ok("down")
        until(lambda: one.run("status").returncode == 4)
        assert "service.stopped db" in one.ok("wait", "db", "--for", "stopped", "--timeout", "0")
        assert one.run("wait", "db", "--for", "ready", "--timeout", "0").returncode == 4
        waiting = spawn(one, "wait", "db", "--for", "ready", "--timeout", "15s")
        time.sleep(0.2)
        assert one.up().returncode == 0
        assert "service.ready db" in finish(waiting)


def test_a_wait_outlives_the_manager():
    with instance(TOML) as one:
        waiting = spawn(one, "wait", "idle", "--for", "ready", "--timeout", "20s")
        time.sleep(0.1)
        manager = one.where()["manager_pid"]
        os.kill(manager, signal.SIGKILL)
        until(lambda: one.where()["manager_pid"] not in (0, manager))
        one.ok("start", "idle")
        finish(waiting)


def test_who_killed_it():
    with instance(TOML) as one:
        def end_of(name):
            return until(lambda: next((e["data"] for e in one.events()
                                       if e["type"] == "abide.process.exited" and e["subject"] == name), None))
        os.kill(one.status("api")["pid"], signal.SIGKILL)
        assert "reason" not in end_of("api"), end_of("api")
        one.ok("kill", "db", "--signal", "KILL")
        told = end_of("db")
        assert told["reason"] == "signalled" and told["exit"]["signal"] == "KILL", told
        assert re.fullmatch(rf"KILL of operation [0-9]+, by uid {os.geteuid()}", told["detail"]), told
        until(lambda: told["detail"] in one.ok("why", "db"))
        one.ok("restart", "idle")
        one.ok("kill", "idle")  # TERM, of which `sleep` dies
        told = end_of("idle")
        assert told["reason"] == "signalled" and told["detail"].startswith("TERM of operation "), told


def test_emit():
    with instance(TOML) as one:
        waiting = spawn(one, "--json", "wait", "db", "--for", "user.deployed", "--timeout", "10s")
        time.sleep(0.1)
        cursor = json.loads(one.ok("--json", "emit", "deployed", "version=7", "note=a \"b\" c"))["id"]
        event = json.loads(finish(waiting))
        assert event["id"] == cursor and event["type"] == "abide.user.deployed"
        assert event["data"]["fields"] == {"version": "7", "note": "a \"b\" c"}
        assert one.ok("emit", "abide.user.deployed", "--no-wait").strip().isdigit()
        for words in (("a/b",), ("x", "novalue"), ("x", "=1"), ("",)):
            assert one.run("emit", *words).returncode == 2, words
        assert one.run("emit", "big", *(f"k{i}=1" for i in range(100))).returncode == 7
        assert [e["type"] for e in one.events()].count("abide.user.deployed") == 2
        one.ok("down")
        assert one.run("emit", "deployed").returncode == 4


def test_emit_and_wait_in_any_order():
    """No miss and no hang, whoever is first; ABIDE_RACE_ROUNDS=10000 for the long form."""
    with instance(TOML) as one:
        cursor = json.loads(one.ok("--json", "events").splitlines()[-1])["id"]
        for round_number in range(ROUNDS):
            first, second = (("emit", f"e{round_number}"),
                             ("--json", "wait", "db", "--for", f"user.e{round_number}", "--since", cursor, "--timeout", "20s"))
            if round_number % 2:
                first, second = second, first
            both = [spawn(one, *first), spawn(one, *second)]
            for process in both:
                finish(process)


class Subscription:
    def __init__(self, path, **parameters):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(path)
        call = {"method": "io.abide.Control.Subscribe", "more": True, "parameters": parameters}
        self.socket.sendall(json.dumps(call).encode() + b"\0")
        self.rest = b""

    def reply(self):
        while b"\0" not in self.rest:
            got = self.socket.recv(1 << 16)
            assert got, "the supervisor hung up"
            self.rest += got
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def event(self):
        reply = self.reply()
        assert reply.get("continues") and "error" not in reply, reply
        return reply["parameters"]["event"]


def test_subscribe():
    with instance(TOML) as one:
        control = one.where()["control"]
        everything = Subscription(control, since="start")
        some = Subscription(control, types=["ready"], services=["idle", "d*"], since="start")
        assert some.event()["subject"] == "db"
        one.ok("start", "idle")
        assert some.event()["subject"] == "idle"
        want = one.events()
        assert [everything.event() for _ in want] == want
        # The last of each service, then what follows.
        last = {event["subject"]: event for event in want if "subject" in event}
        snapshot = Subscription(control, snapshot=True)
        assert [snapshot.event() for _ in last] == sorted(last.values(), key=lambda event: event["id"])
        some = Subscription(control, snapshot=True, types=["started"], services=["idle", "d*"])
        assert [some.event()["subject"] for _ in range(2)] == ["db", "idle"]
        one.ok("restart", "idle")
        follows = [event for event in one.events() if event["id"] > want[-1]["id"]]
        assert [snapshot.event() for _ in follows] == follows
        assert some.event()["id"] == next(event["id"] for event in follows if event["type"].endswith(".started"))
        for parameters, error in (({"types": ["x"]}, "NotFound"), ({"snapshot": True, "since": "start"}, "Refused"), ({"since": "99999"}, "Refused"), ({"since": "?"}, "Refused"),
                                  ({"types": "x"}, "InvalidParameter")):
            assert error in Subscription(control, **parameters).reply()["error"]
        without = socket.socket(socket.AF_UNIX)
        without.connect(control)
        without.sendall(b'{"method":"io.abide.Control.Subscribe"}\0')
        assert b"ExpectedMore" in without.recv(4096)


def test_a_slow_subscriber_misses_nothing():
    """It reads nothing while thousands of events come; the manager keeps none of them for it."""
    flood = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); {abide} -C {dir} emit flood n=$i payload=$(printf %01000d 0); done"
    with instance(TOML) as one:
        slow = Subscription(one.where()["control"])
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        cursor = json.loads(one.ok("--json", "emit", "begin"))["id"]
        subprocess.run(["sh", "-c", flood.replace("{abide}", str(BIN / "abide")).replace("{dir}", str(one.folder))],
                       stdout=subprocess.DEVNULL, check=True, timeout=60)
        want = [e for e in one.events() if e["id"] >= cursor]
        assert len(want) == 401
        assert [slow.event() for _ in want] == want


def test_an_emit_that_is_asked_for_again_is_one_event():
    with instance(TOML) as one:
        def ask():
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(10)
            connection.connect(one.where()["control"])
            call = {"method": "io.abide.Control.Emit", "parameters": {"name": "once", "request": "the-same-name"}}
            connection.sendall(json.dumps(call).encode() + b"\0")
            return json.loads(connection.recv(1 << 16).rstrip(b"\0"))["parameters"]["detail"]
        first = ask()
        manager = one.where()["manager_pid"]
        os.kill(manager, signal.SIGKILL)
        until(lambda: one.where()["manager_pid"] not in (0, manager))
        assert ask() == first
        assert [e["type"] for e in one.events()].count("abide.user.once") == 1


def test_many_subscribers_hold_no_descriptor_and_no_time():
    with instance(TOML) as one:
        where = one.where()
        manager = where["manager_pid"]
        def descriptors():
            return len(os.listdir(f"/proc/{manager}/fd"))
        before = descriptors()
        many = [Subscription(where["control"]) for _ in range(200)]
        until(lambda: descriptors() >= before + 200)
        assert descriptors() == before + 200
        one.ok("start", "idle")
        for subscriber in many:
            assert subscriber.event()["type"] == "abide.service.starting"
        for subscriber in many[::2]:
            subscriber.socket.close()
        one.ok("stop", "idle")
        types = [many[1].event()["type"] for _ in range(5)]
        assert types[-1] in ("abide.service.stopped", "abide.process.exited"), types
        until(lambda: descriptors() <= before + 101)


def test_a_full_file_system_stops_nobody():
    """The runtime folder lies on a tmpfs without room: services go on, events wait, and are written when there is room."""
    needs_root()
    place = tempfile.mkdtemp(prefix="abide-tmpfs-")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k,mode=0755", "tmpfs", place], check=True)
    one = Instance(TOML.replace('name = "shop"', f'name = "shop"\nruntime = "{place}/run"'))
    try:
        result = one.up()
        assert result.returncode == 0, result.stderr
        filler = pathlib.Path(place) / "filler"
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        last = int(one.events()[-1]["id"])
        for _ in range(12):
            one.ok("restart", "api")
        assert one.status("api")["run"] == 13 and one.status("db")["state"] == "running"
        assert "events are not written" in one.supervisor_log()
        filler.unlink()
        def complete():
            return sum(e["type"] == "abide.service.ready" and e.get("subject") == "api" for e in one.events()) == 13
        until(complete, 10)
        check_numbers(one.events())
        assert int(one.events()[-1]["id"]) > last + 12 * 5
    finally:
        one.close()
        subprocess.run(["umount", "-l", place], check=False)
        os.rmdir(place)


def test_what_waits_for_a_lock_outlives_several_managers():
    """As a child of a manager that was killed holds the log's lock until its exec: nobody can write, and managers die meanwhile."""
    with instance(TOML) as one:
        for _ in range(3):
            folder = os.open(one.where()["events"], os.O_RDONLY | os.O_DIRECTORY)
            waiting = threading.Thread(target=fcntl.flock, args=(folder, fcntl.LOCK_EX))
            waiting.start()
            last = int(one.events()[-1]["id"])
            for _ in range(4):
                manager = one.where()["manager_pid"]
                os.kill(manager, signal.SIGKILL)
                until(lambda manager=manager: one.where()["manager_pid"] not in (0, manager))
                one.ok("restart", "api")
            waiting.join(5)
            held = not waiting.is_alive() and int(one.events()[-1]["id"]) == last
            os.close(folder)
            one.ok("restart", "api")
            until(lambda last=last: int(one.events()[-1]["id"]) > last + 5 * 4, 5)
            assert not any(event["type"].endswith(".gap") for event in one.events()), one.supervisor_log()
            check_numbers(one.events())
            if held:
                return
        raise AssertionError("nobody was kept from writing: this shows nothing")


def test_a_deleted_segment_and_a_deleted_folder():
    with instance(TOML) as one:
        folder = pathlib.Path(one.where()["events"])
        last = int(one.events()[-1]["id"])
        for segment in folder.glob("*.jsonl"):
            segment.unlink()
        one.ok("stop", "api")
        events = [json.loads(line) for line in one.ok("--json", "events", "--since", "2").splitlines()]
        assert events[0]["type"] == "abide.stream.gap" and events[0]["data"]["count"] == last - 2
        check_numbers(events)
        subprocess.run(["rm", "-rf", str(folder)], check=True)
        one.ok("start", "api")
        until(lambda: folder.exists() and list(folder.glob("*.jsonl")), 5)
        one.ok("stop", "api")
        until(lambda: one.events()[-1]["type"] == "abide.service.stopped", 5)


def test_story_of_one_service_and_analyze():
    with instance(TOML) as one:
        story = one.ok("status", "api")
        assert "history:" in story and "service.ready run 1" in story
        why = one.ok("why", "api")
        assert "service.ready api" in why and "service.starting db" in why and "supervisor.started" in why
        chain = json.loads(one.ok("--json", "why", "api"))["events"]
        assert chain[0]["subject"] == "api" and chain[-1]["type"] == "abide.supervisor.started"
        blame = one.ok("analyze")
        assert {line.split()[1] for line in blame.splitlines()} == {"api", "db"}
        critical = one.ok("analyze", "critical-chain")
        assert [word for word in ("service.ready api", "service.ready db", "supervisor.started") if word not in critical] == []
        picture = one.folder / "start.svg"
        one.ok("analyze", "plot", str(picture))
        assert picture.read_text().startswith("<svg") and "api" in picture.read_text()
        assert one.run("analyze", "plot").returncode == 2
