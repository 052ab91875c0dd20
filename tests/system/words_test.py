"""The command line: exit statuses, one line of error with its place, reload and plan, logs."""
import json
import os
import subprocess
import time

import harness
import scopes
from harness import BIN, Instance, instance, until

CALM = '[services.calm]\ncommand = ["sleep", "1000"]\n'


def refused(toml, *words, status=2):
    one = Instance(toml)
    try:
        result = one.run("check")
        assert result.returncode == status, result
        for word in words:
            assert word in result.stderr + result.stdout, result.stderr + result.stdout
        assert one.up().returncode == status
    finally:
        one.close()


def test_unknown_key():
    refused('[services.a]\ncomand = ["x"]\n', "abide.toml:2:", "command")


def test_wrong_type():
    refused('[services.a]\ncommand = ["x"]\nautostart = "maybe"\n', "abide.toml:3:")


def test_cycle_with_every_edge():
    refused('[services.a]\ncommand = ["x"]\nrequires = ["b"]\n[services.b]\ncommand = ["x"]\nafter = ["c"]\n'
            '[services.c]\ncommand = ["x"]\nrequires = ["a"]\n', "abide.toml:1:11: error", "a requires b", "b after c",
            "c requires a", status=7)


def test_missing_dependency():
    refused('[services.a]\ncommand = ["x"]\nrequires = ["databse"]\n[services.database]\ncommand = ["x"]\n', "databse", "database")


def test_self_dependency():
    refused('[services.a]\ncommand = ["x"]\nrequires = ["a"]\n', "itself")


def test_duplicate_provider():
    refused('[services.a]\ncommand = ["x"]\nprovides = ["p"]\n[services.b]\ncommand = ["x"]\nprovides = ["p"]\n', "provide")


def test_bad_name():
    refused('[services."../a"]\ncommand = ["x"]\n', "name")


def test_not_utf8():
    one = Instance("")
    try:
        one.config.write_bytes(b'[services.a]\ncommand = ["\xff"]\n')
        assert one.run("check").returncode == 2
    finally:
        one.close()


def test_statuses():
    with instance(CALM) as one:
        assert one.run("status", "nobody").returncode == 3
        assert one.run("stop", "nobody").returncode == 3
        assert one.run("no-such-command").returncode == 2
        assert one.run("reload", "calm").returncode == 7
    assert one.run("status").returncode in (2, 4)


def test_reload_config_touches_only_what_changed():
    toml = CALM + '[services.other]\ncommand = ["sleep", "1000"]\n'
    with instance(toml) as one:
        calm, other = one.status("calm")["pid"], one.status("other")["pid"]
        one.config.write_text(CALM + '[services.other]\ncommand = ["sleep", "2000"]\n[services.new]\ncommand = ["sleep", "1"]\n')
        plan = one.ok("plan")
        assert "other" in plan and "new" in plan and "calm" not in plan, plan
        one.ok("reload-config")
        until(lambda: one.status("other")["pid"] not in (None, other))
        assert one.status("calm")["pid"] == calm
        one.config.write_text(CALM + "oops = 1\n")
        assert one.run("reload-config").returncode == 2
        assert one.status("calm")["pid"] == calm


def test_reload_config_by_a_socket_is_of_that_instance():
    toml = CALM + '[services.other]\ncommand = ["sleep", "1000"]\n'
    with instance(toml) as one:
        def elsewhere(*words):
            return subprocess.run([str(BIN / "abide"), *words], cwd="/", capture_output=True, text=True, timeout=20,
                                  env=os.environ | {"ABIDE_SOCKET": one.where()["control"]})
        plan = elsewhere("plan")
        assert plan.returncode == 0 and "nothing would change" in plan.stdout, plan
        other = one.status("other")["pid"]
        one.config.write_text(CALM + '[services.other]\ncommand = ["sleep", "2000"]\n')
        assert elsewhere("reload-config").returncode == 0
        until(lambda: one.status("other")["pid"] not in (None, other))
        assert os.readlink(f"/proc/{one.status('other')['pid']}/cwd") == os.path.realpath(one.folder)


def test_add_and_remove():
    with instance(CALM) as one:
        one.ok("add", "-", stdin='[services.extra]\ncommand = ["sleep", "1000"]\n')
        one.reaches("extra", "running")
        one.ok("remove", "extra")
        assert one.run("status", "extra").returncode == 3


def test_templates():
    with instance('[services."w@"]\ncommand = ["sleep", "%i"]\ninstances = ["100", "200"]\n') as one:
        assert one.state("w@100") == "running" and one.state("w@200") == "running"
        one.ok("start", "w@300")
        assert one.state("w@300") == "running"


def test_environment_and_expansion():
    toml = '[services.a]\ncommand = ["sh", "-c", "echo got $0 $X ${Y:-none}", "${X}"]\nenvironment = { X = "value" }\n'
    with instance(toml) as one:
        until(lambda: "got value value none" in one.ok("logs", "a"))


def test_logs():
    toml = '[services.a]\ncommand = ["sh", "-c", "for i in 1 2 3 4 5; do echo line $i; sleep 0.1; done; printf no-newline; sleep 100"]\n'
    with instance(toml) as one:
        until(lambda: "line 5" in one.ok("logs", "a"))
        last = one.ok("logs", "-n", "2", "a")
        assert "line 5" in last and "line 3" not in last
        assert "line 1" in one.ok("logs", "--since", "1h", "a")
        time.sleep(0.1)


def test_json_is_what_scripts_rely_on():
    with instance(CALM) as one:
        status = one.status("calm")
        for key in ("name", "kind", "state", "stage", "conditions", "want", "pid", "run", "since", "restarts", "last_exit",
                    "waiting_for", "revision", "description"):
            assert key in status, key
        for key in ("configuration", "runtime", "control", "events", "log", "apps", "anchor_pid", "manager_pid", "logger_pid"):
            assert key in one.where(), key
        assert json.loads(one.ok("status", "--json"))


def test_enable_and_disable():
    with instance(CALM) as one:
        one.ok("disable", "calm")
        one.ok("down")
        assert one.up().returncode == 0
        assert one.state("calm") == "inactive"
        one.ok("enable", "calm")


def test_a_part_that_is_called_by_hand_says_so():
    for program, name in (("abide-manager", "abide-manager"), ("abide-manager", "abide-logger"), ("abide-manager", "abide-oci"),
                          ("abide-hold", "abide-hold"), ("abide", "abide-anchor")):
        for third in ("3<&-", "3</dev/null"):
            done = subprocess.run(["bash", "-c", f"exec -a {name} {harness.BIN / program} {third}"], capture_output=True, text=True,
                                  timeout=20, stdin=subprocess.DEVNULL, check=False)
            assert 0 < done.returncode < 126 and done.stderr.count("\n") == 1, (name, third, done)
            assert done.stderr.startswith("abide"), "the shell's word, not the program's"


def test_analyze_for_programs():
    with instance(CALM) as one:
        blame = json.loads(one.ok("--json", "analyze"))
        assert [row["service"] for row in blame] == ["calm"] and blame[0]["took_ns"] > 0 and blame[0]["failed"] is False, blame
        chain = json.loads(one.ok("--json", "analyze", "critical-chain"))
        assert (chain[0]["type"], chain[0]["service"]) == ("abide.service.ready", "calm"), chain
        assert chain[-1]["at_ns"] == 0 and chain[0]["at_ns"] >= chain[0]["took_ns"], chain


def test_words_of_logs():
    toml = '[services.loud]\nkind = "task"\ncommand = ["seq", "9"]\n[services.quiet]\ncommand = ["sleep", "1000"]\nlog = "none"\n'
    with instance(toml) as one:
        until(lambda: len(one.ok("logs", "loud").splitlines()) == 9)
        for number in ("-5", "x", "", "1e3"):
            wrong = one.run("logs", "-n", number)
            assert wrong.returncode == 2 and f"--lines {number}" in wrong.stderr and not wrong.stdout, wrong
        assert one.ok("logs", "-n", "0") == ""
        later = one.run("logs", "--since", "2999-01-01")
        assert (later.returncode, later.stdout, later.stderr) == (0, "", ""), later
        assert one.run("logs", "--since", "2999-13-01").returncode == 2
        quiet = one.run("logs", "quiet")
        assert quiet.returncode == 0 and not quiet.stdout and 'quiet has no log: the configuration says log = "none"' in quiet.stderr
        assert one.run("logs", "loud").stderr == ""


def test_a_start_that_fails_names_what_it_failed_of():
    toml = '[services.there]\ncommand = ["sleep", "1"]\ndirectory = "/nonexistent"\nrestart = "never"\n' \
           '[services.many]\ncommand = ["sleep", "1"]\nlimits = { nofile = "100T", core = 0 }\nrestart = "never"\n'
    with instance(toml, up=False) as one:
        assert one.up().returncode == 1
        until(lambda: one.state("there") == "failed" and one.state("many") == "failed")
        assert "directory /nonexistent of sleep: No such file" in one.ok("why", "there"), one.ok("why", "there")
        why = one.ok("why", "many")
        assert f"limits nofile={100 << 40} of sleep: Operation not permitted" in why and "core" not in why, why


def test_a_user_without_a_configuration():
    scopes.own_machine()
    one = scopes.UserInstance()
    one.give()
    try:
        for words in (("check",), ("up", "--detach")):
            done = one.run(*words)
            assert done.returncode == 0 and done.stderr.count("there is no configuration") == 1, done
        folder = one.config.parent / "services"
        folder.mkdir()
        (folder / "calm.toml").write_text(CALM)
        one.give()
        assert "1 service, no error" in one.ok("check") and "there is no" not in one.run("check").stderr
    finally:
        one.close()


def test_a_user_without_control_groups_hears_of_limits():
    scopes.own_machine()
    one = scopes.UserInstance()
    one.config.write_text(CALM + "limits = { pids-max = 10, cpu-weight = 50 }\n")
    one.give()
    try:
        done = one.up()
        assert done.returncode == 0, done
        log = (one.folder / ".local/state/abide/log/supervisor.log").read_text()
        for key in ("pids-max", "cpu-weight"):
            assert done.stderr.count(f"limits.{key} would not be in force") == 1, done.stderr
            assert one.run("check").stderr.count(f"limits.{key} would not be in force") == 1
            assert log.count(f"calm: limits.{key} is not in force") == 1, log
    finally:
        one.close()


IMPORTED = {
    "procfile": ("Procfile", "web: sleep 1000\nworker: echo started; exec sleep 1000\n", ["web", "worker"]),
    "supervisord": ("supervisord.conf",
                    "[supervisord]\nnodaemon=true\n[program:web]\ncommand=sleep 1000\nautorestart=unexpected\n"
                    "environment=A=\"b c\"\n[program:worker]\ncommand=/bin/sh -c 'echo started; exec sleep 1000'\n", ["web", "worker"]),
    "systemd": ("web.service", "[Unit]\nDescription=A web server\n[Service]\nExecStart=/bin/sleep 1000\nRestart=on-failure\n"
                               "ProtectHome=yes\n[Install]\nWantedBy=multi-user.target\n", ["web"]),
}


def test_what_was_imported_runs():
    for kind, (name, text, services) in IMPORTED.items():
        one = Instance("")
        try:
            (one.folder / name).write_text(text)
            result = one.run("import", kind, str(one.folder / name))
            assert result.returncode == 0, result.stderr
            one.config.write_text(result.stdout)
            # What is left out is said, with its line.
            assert (f"{one.folder}/web.service:6: ProtectHome" in result.stderr) == (kind == "systemd"), result.stderr
            assert one.run("check").returncode == 0
            assert one.up().returncode == 0, one.supervisor_log()
            for service in services:
                assert one.state(service) == "running"
        finally:
            one.close()


def test_what_cannot_be_imported_says_where():
    one = Instance("")
    try:
        (one.folder / "Procfile").write_text("web: sleep 1\nnonsense\n")
        wrong = one.run("import", "procfile", str(one.folder / "Procfile"))
        assert wrong.returncode == 2 and "Procfile:2" in wrong.stderr and len(wrong.stderr.splitlines()) == 1, wrong
        assert one.run("import", "upstart", "x").returncode == 2
        assert one.run("import", "procfile", str(one.folder / "none")).returncode == 2
        assert one.run("import", "systemd", "-", stdin="").returncode == 2
        piped = one.run("import", "procfile", "-", stdin="a: sleep 1\n")
        assert piped.returncode == 0 and "[services.a]" in piped.stdout, piped
    finally:
        one.close()
