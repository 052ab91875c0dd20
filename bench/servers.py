#!/usr/bin/env python3
"""Real servers under load while their manager is killed each second (and replaced each five, where `abide upgrade` can do it).

    bench/servers.sh [SECONDS]        as root; one minute when nothing is said

PostgreSQL under pgbench, redis under redis-benchmark, nginx under wrk, all at once and each with the processes it had before.
Prints what each client counted; ends with status 0 only when not one transaction or request failed and every pid stayed.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ABIDE = Path(sys.argv[1]).resolve() / "abide"
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 60
POSTGRES = Path("/usr/lib/postgresql/15/bin")
DB, CACHE, WEB = 25432, 26379, 28000
TOML = f"""
[project]
name = "servers"
[services.db]
command = ["{POSTGRES}/postgres", "-D", "{{dir}}/db", "-p", "{DB}", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
user = "postgres"
pre-start = [["{POSTGRES}/initdb", "-D", "{{dir}}/db", "-U", "postgres", "--auth=trust", "--locale=C", "--no-sync"]]
ready = {{ exec = ["{POSTGRES}/pg_isready", "-q", "-h", "127.0.0.1", "-p", "{DB}"], timeout = "60s" }}
health = {{ exec = ["{POSTGRES}/pg_isready", "-q", "-h", "127.0.0.1", "-p", "{DB}"], every = "1s", timeout = "5s", failures = 5 }}
stop = {{ signal = "INT", scope = "main", timeout = "30s" }}
[services.cache]
command = ["redis-server", "--bind", "127.0.0.1", "--port", "{CACHE}", "--dir", "{{dir}}", "--save", "", "--supervised", "systemd"]
user = "redis"
ready = {{ notify = true, timeout = "20s" }}
health = {{ tcp = "127.0.0.1:{CACHE}", every = "1s", timeout = "5s", failures = 5 }}
[services.web]
command = ["nginx", "-c", "{{dir}}/nginx.conf", "-p", "{{dir}}/web", "-e", "stderr"]
ready = {{ tcp = "127.0.0.1:{WEB}", timeout = "20s" }}
health = {{ tcp = "127.0.0.1:{WEB}", every = "1s", timeout = "5s", failures = 5 }}
stop = {{ signal = "QUIT", scope = "main", timeout = "20s" }}
"""
NGINX = f"""
daemon off;
worker_processes 1;
pid {{dir}}/web/nginx.pid;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {{dir}}/web; proxy_temp_path {{dir}}/web; fastcgi_temp_path {{dir}}/web;
    uwsgi_temp_path {{dir}}/web; scgi_temp_path {{dir}}/web;
    server {{ listen 127.0.0.1:{WEB}; location / {{ return 200 "ok"; }} }}
}}
"""


def abide(folder, *words, **more):
    return subprocess.run([str(ABIDE), "-C", str(folder), *words], capture_output=True, text=True, timeout=90, **more)


def processes(folder):
    """{service: (pid, start time, runs)}"""
    found = {}
    for service in json.loads(abide(folder, "status", "--json").stdout):
        with open(f"/proc/{service['pid']}/stat", encoding="ascii") as stat:
            found[service["name"]] = (service["pid"], stat.read().rsplit(")", 1)[1].split()[19], service["run"])
    return found


def start_clients(user):
    address = ["-h", "127.0.0.1", "-p", str(DB), "-U", "postgres"]
    subprocess.run([str(POSTGRES / "pgbench"), *address, "-i", "-q", "-s", "1", "postgres"], check=True, capture_output=True)
    commands = {
        "pgbench": [str(POSTGRES / "pgbench"), *address, "-c", "4", "-T", str(SECONDS), "postgres"],
        "wrk": ["wrk", "-t", "1", "-c", "8", "-d", f"{SECONDS}s", f"http://127.0.0.1:{WEB}/"],
        # It counts requests, not seconds: it is begun anew until the time is over.
        "redis-benchmark": ["sh", "-c", f"end=$(($(date +%s) + {SECONDS})); n=0; while [ $(date +%s) -lt $end ]; do "
                            f"redis-benchmark -h 127.0.0.1 -p {CACHE} -c 8 -n 20000 -q -t set,get >&2 || exit 1; "
                            "n=$((n + 40000)); done; echo $n requests"],
    }
    return {name: subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for name, command in commands.items()}


def torment(folder, can_upgrade):
    kills = upgrades = lost = 0
    gaps = []
    end = time.monotonic() + SECONDS - 2
    while time.monotonic() < end:
        time.sleep(1)
        where = abide(folder, "where", "--json")
        if where.returncode != 0:
            lost += 1
            continue
        if can_upgrade and (kills + upgrades) % 5 == 4:
            upgrades += 1
            lost += abide(folder, "upgrade", "--probation", "300ms").returncode != 0
            continue
        os.kill(json.loads(where.stdout)["manager_pid"], signal.SIGKILL)
        kills += 1
        begin = time.monotonic()
        lost += abide(folder, "status").returncode != 0
        gaps.append(time.monotonic() - begin)
    return kills, upgrades, lost, sorted(gaps)


def judge(name, client):
    """(what it counted, how much of it failed)"""
    out, err = client.communicate(timeout=60)
    text = out + err
    if name == "pgbench":
        done = int(re.search(r"actually processed: (\d+)", text).group(1))
        failed = int(re.search(r"failed transactions: (\d+)", text).group(1)) + text.count("aborted")
    elif name == "wrk":
        done = int(re.search(r"(\d+) requests in", text).group(1))
        failed = sum(map(int, re.findall(r"(?:connect|read|write|timeout|Non-2xx or 3xx responses:) (\d+)", text)))
    else:
        found = re.search(r"(\d+) requests$", out.strip())
        done, failed = (int(found.group(1)) if found else 0), text.count("Error")
    return done, failed + (client.returncode != 0)


def main():
    folder = Path(tempfile.mkdtemp(prefix="abide-servers-"))
    try:
        folder.chmod(0o777)
        for name, user in (("db", "postgres"), ("web", "root")):
            (folder / name).mkdir(mode=0o700)
            shutil.chown(folder / name, user)
        (folder / "nginx.conf").write_text(NGINX.replace("{dir}", str(folder)))
        (folder / "abide.toml").write_text(TOML.replace("{dir}", str(folder)))
        folder.chmod(0o755)
        up = abide(folder, "up", "--detach")
        if up.returncode:
            sys.exit(up.stdout + up.stderr)
        before = processes(folder)
        can_upgrade = abide(folder, "upgrade", "--help").returncode == 0
        clients = start_clients("postgres")
        kills, upgrades, lost, gaps = torment(folder, can_upgrade)
        bad = lost
        print(f"manager killed {kills} times, upgraded {upgrades} times; {lost} commands of ours got no answer; "
              f"kill to answer: median {gaps[len(gaps) // 2] * 1000:.0f} ms, worst {gaps[-1] * 1000:.0f} ms")
        for name, client in clients.items():
            done, failed = judge(name, client)
            print(f"{name}: {done} done, {failed} failed")
            bad += failed + (done == 0)
        after = processes(folder)
        same = after == before
        print("every process is the one it was" if same else f"processes differ: {before} {after}")
        return 1 if bad or not same else 0
    finally:
        print(abide(folder, "down", "--timeout", "20s").stderr, end="")
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
