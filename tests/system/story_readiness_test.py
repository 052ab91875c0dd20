#!/usr/bin/env python3
"""Ready means ready: notify, descriptor, tcp, http, unix socket, exec, log line, pid file and delay; order; never ready."""
import json

from project import Project, check, isolate, until

NOTIFY = """#!/usr/bin/env python3
import os, socket, time
time.sleep(0.3)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
s.send(b"STATUS=warm\\nREADY=1")
time.sleep(1000)
"""
SERVER = """#!/usr/bin/env python3
import http.server, os, socket, sys, time
time.sleep(0.3)
kind, where = sys.argv[1:]
if kind == "unix":
    s = socket.socket(socket.AF_UNIX); s.bind(where); s.listen(); time.sleep(1000)
http.server.HTTPServer(("127.0.0.1", int(where)), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
FORKING = """#!/usr/bin/env python3
import os, sys, time
if os.fork(): time.sleep(0.2); sys.exit(0)
os.setsid()
if os.fork(): os._exit(0)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(1000)
"""
TOML = """
[project]
name = "readiness"
[services.notify]
command = "./notify"
ready = { notify = true }
[services.fd]
command = ["sh", "-c", "sleep 0.2; echo >&3; exec 3>&-; exec sleep 1000"]
ready = { fd = 3 }
[services.tcp]
command = "./server tcp 38411"
ready = { tcp = "127.0.0.1:38411" }
[services.http]
command = "./server tcp 38412"
ready = { http = "http://127.0.0.1:38412/" }
[services.unix]
command = "./server unix {dir}/unix.sock"
ready = { unix = "{dir}/unix.sock" }
[services.exec]
command = ["sh", "-c", "sleep 0.2; touch {dir}/made; exec sleep 1000"]
ready = { exec = ["test", "-e", "{dir}/made"] }
[services.log]
command = ["sh", "-c", "sleep 0.2; echo now serving requests; exec sleep 1000"]
ready = { log = "serving" }
[services.forking]
command = "./forking {dir}/forking.pid"
ready = { pidfile = "{dir}/forking.pid" }
[services.delay]
command = "sleep 1000"
ready = { delay = "200ms" }
[services.last]
command = "sleep 1000"
requires = ["notify", "fd", "tcp", "http", "unix", "exec", "log", "forking", "delay"]
[services.never]
command = "sleep 1000"
autostart = false
restart = "never"
ready = { notify = true, timeout = "500ms" }
"""


def test_readiness():
    with Project(TOML, {"notify": NOTIFY, "server": SERVER, "forking": FORKING}) as project:
        project.ok("up", "--detach", seconds=12)
        running = [one["name"] for one in project.status() if one["state"] == "running" and "ready" in one["conditions"]]
        for name in ("notify", "fd", "tcp", "http", "unix", "exec", "log", "forking", "delay", "last"):
            check(name in running, f"{name} is ready")
        pid = int((project.folder / "forking.pid").read_text())
        check(project.status("forking")["pid"] == pid, "the forking daemon's own pid is the main one")
        ready = {one["subject"]: int(one["id"]) for one in project.events() if one["type"] == "abide.service.ready"}
        begins = {one["subject"]: int(one["id"]) for one in project.events() if one["type"] == "abide.service.started"}
        check(begins["last"] > max(number for name, number in ready.items() if name != "last"), "order: last began after all")
        detail = project.run("status", "notify", "--json").stdout
        check("warm" in json.dumps(detail), "STATUS= is shown")
        failed = project.run("start", "never", seconds=15)
        check(failed.returncode == 1, "a service that is never ready fails its start")
        until(project.is_state("never", "failed"), "and is failed")


if __name__ == "__main__":
    isolate()
    test_readiness()
