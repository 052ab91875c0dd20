"""Clients of the control socket: idle ones, endless ones, slow ones, and those of other users."""
import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time

from harness import instance, needs_root, until

CALM = '[services.calm]\ncommand = ["sleep", "1000"]\n'


def control(path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(path)
    return client


def call(client, method, parameters=None, more=False):
    request = {"method": f"io.abide.Control.{method}", "parameters": parameters or {}}
    if more:
        request["more"] = True
    client.sendall(json.dumps(request).encode() + b"\0")


def answer(client):
    data = b""
    while b"\0" not in data:
        piece = client.recv(65536)
        if not piece:
            return None
        data += piece
    return json.loads(data.split(b"\0")[0])


def operations(path):
    with control(path) as client:
        call(client, "Operations")
        return answer(client)["parameters"]["operations"]


def rss_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS"))


def test_a_thousand_idle_connections():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    with instance(CALM) as one:
        path = one.where()["control"]
        waiter = control(path)
        call(waiter, "Start", {"names": ["calm"]})
        assert answer(waiter) is not None
        idle = []
        for _ in range(1000):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(5)
            client.connect(path)
            idle.append(client)
        start = time.monotonic()
        one.ok("status")
        one.ok("restart", "calm")
        assert time.monotonic() - start < 5
        # Nobody waits for ever: each either is served or was told to go.
        call(idle[-1], "Status")
        assert "services" in answer(idle[-1])["parameters"]
        for client in idle:
            client.close()
        one.ok("status")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_clients_wait_than_operations_are_remembered():
    """Each is answered, and so is who asks for something else meanwhile; their operations end in the same turn."""
    slow = 'command = ["sleep", "1000"]\nautostart = false\nready = { delay = "2s" }\nlog = "none"\n'
    with instance(CALM + f"[services.a]\n{slow}[services.b]\n{slow}") as one, contextlib.ExitStack() as stack:
        path = one.where()["control"]
        waiting = []
        for i in range(300):
            client = stack.enter_context(control(path))
            call(client, "Start", {"names": ["ab"[i % 2]]})
            waiting.append(client)
        until(lambda: sum(o["outcome"] == "pending" for o in operations(path)) == len(waiting), 1.5)
        quick = [stack.enter_context(control(path)) for _ in range(20)]
        for i, client in enumerate(quick):
            call(client, *[("Kill", {"name": "calm", "signal": "CONT"}), ("Enable", {"names": ["calm"]})][i % 2])
        assert [answer(client)["parameters"]["outcome"] for client in quick] == ["done"] * len(quick)
        assert [answer(client)["parameters"]["outcome"] for client in waiting] == ["done"] * len(waiting)
        assert len(operations(path)) == 256


def test_who_leaves_before_a_new_manager_has_looked_around_is_heard():
    many = "".join(f'[services.m{i}]\ncommand = ["sleep", "1000"]\nlog = "none"\n' for i in range(300))
    with instance(CALM + many) as one:
        where = one.where()
        for round_ in range(3):
            os.kill(one.where()["manager_pid"], signal.SIGKILL)
            with control(where["control"]) as client:
                request = {"method": "io.abide.Control.Restart", "oneway": True, "parameters": {"names": ["calm"]}}
                client.sendall(json.dumps(request).encode() + b"\0")
            until(lambda: one.status("calm")["run"] == 2 + round_)


def test_a_message_of_a_gigabyte():
    with instance(CALM) as one:
        where = one.where()
        for opening in (b'{"method":"io.abide.Control.Status","parameters":{"names":["', b""):
            client = control(where["control"])
            sent = 0
            with contextlib.suppress(OSError):
                client.sendall(opening)
                while sent < 1 << 30:
                    sent += client.send(b"x" * (1 << 20))
            assert sent < 64 << 20, "it is cut off at the bound"
            client.close()
            one.ok("status")
        assert one.where()["manager_pid"] == where["manager_pid"]
        assert rss_mib(where["manager_pid"]) < 64


def test_a_client_that_never_reads_its_answers():
    toml = "".join(f'[services.s{i}]\ncommand = ["true"]\nautostart = false\n' for i in range(300))
    with instance(toml) as one:
        slow = control(one.where()["control"])
        slow.setblocking(False)
        request = b'{"method":"io.abide.Control.Status","parameters":{"detail":true}}\0'
        with contextlib.suppress(OSError):
            for _ in range(3000):
                slow.send(request)
        start = time.monotonic()
        one.ok("status")
        assert time.monotonic() - start < 2
        assert rss_mib(one.where()["manager_pid"]) < 64


def test_a_client_that_leaves_in_mid_operation():
    toml = CALM + '[services.slow]\ncommand = ["sleep", "1000"]\nready = { delay = "700ms" }\nautostart = false\n'
    with instance(toml) as one:
        leaver = control(one.where()["control"])
        call(leaver, "Start", {"names": ["slow"]}, more=True)
        time.sleep(0.1)
        leaver.close()
        one.ok("status")
        one.reaches("slow", "running")


# Runs `code` as another user with a group, without a file of ours in reach but the socket.
AS_OTHER = """import json, os, socket, sys
path, gid = sys.argv[1], int(sys.argv[2])
os.setgroups([gid] if gid else [])
os.setgid(65534)
os.setuid(65534)
def ask(method, parameters):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(path)
    client.sendall(json.dumps({"method": "io.abide.Control." + method, "parameters": parameters}).encode() + b"\\0")
    data = b""
    while b"\\0" not in data:
        piece = client.recv(65536)
        if not piece: return "closed"
        data += piece
    reply = json.loads(data.split(b"\\0")[0])
    if "error" in reply: return reply["error"].rsplit(".", 1)[1]
    outcome = reply["parameters"].get("outcome")
    return outcome or "done"
try:
    print(json.dumps([ask("Status", {}), ask("Restart", {"names": ["calm"]}), ask("Down", {})]))
except PermissionError:
    print(json.dumps("no access"))
"""


def as_other(path, gid):
    result = subprocess.run([sys.executable, "-c", AS_OTHER, path, str(gid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, timeout=20)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_groups_of_control_over_a_real_connection():
    needs_root()
    # Numbers are groups too; nobody on this machine has these.
    toml = '[control]\nread = ["adm"]\noperate = ["staff"]\n' + CALM
    with instance(toml) as one:
        import grp
        path = one.where()["control"]
        pid = one.status("calm")["pid"]
        refusal = "NotPermitted"
        nobody = as_other(path, 0)
        assert nobody == [refusal] * 3 or nobody == ["PermissionDenied"] * 3, nobody
        reader = as_other(path, grp.getgrnam("adm").gr_gid)
        assert reader[0] == "done" and all(a in ("PermissionDenied", refusal, "not_permitted", "not-permitted") for a in reader[1:]), reader
        assert one.status("calm")["pid"] == pid
        operator = as_other(path, grp.getgrnam("staff").gr_gid)
        assert operator[0] == "done" and operator[1] == "done" and operator[2] == reader[2], operator
        until(lambda: one.status("calm")["pid"] not in (None, pid))
        # The log files are for readers: their folder is of the first group.
        folder = os.stat(one.folder / ".abide/log")
        assert folder.st_gid == grp.getgrnam("adm").gr_gid and folder.st_mode & 0o2070 == 0o2050, oct(folder.st_mode)
        inner = os.stat(one.folder / ".abide/log/calm") if (one.folder / ".abide/log/calm").exists() else folder
        assert inner.st_gid == folder.st_gid


def test_groups_come_and_go_while_it_runs():
    needs_root()
    import grp
    adm = grp.getgrnam("adm").gr_gid
    with instance(CALM) as one:
        path = one.where()["control"]
        assert as_other(path, adm) == "no access"
        one.config.write_text('[control]\nread = ["adm"]\n' + CALM)
        plan = one.ok("plan")
        assert "[control]" in plan and "read" in plan and "calm" not in plan, plan
        one.ok("reload-config")
        assert as_other(path, adm)[0] == "done"
        folder = os.stat(one.folder / ".abide/log")
        assert folder.st_gid == adm and folder.st_mode & 0o2070 == 0o2050, oct(folder.st_mode)
        assert "nothing would change" in one.ok("plan")
        os.kill(one.where()["manager_pid"], signal.SIGKILL)
        assert one.state("calm") == "running"
        assert as_other(path, adm)[0] == "done"
        one.config.write_text(CALM)
        one.ok("reload-config")
        assert as_other(path, adm) == "no access"


def test_without_groups_nobody_else_gets_in():
    needs_root()
    with instance(CALM) as one:
        assert as_other(one.where()["control"], 0) == "no access"
