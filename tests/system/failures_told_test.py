"""What goes wrong beside the main process is told: reloads, probes, commands of a stop, and a readiness that is lost."""
import os
import time

from harness import instance, until


def told(one, name, word):
    return [e for e in one.events() if e["type"] == "abide.service." + word and e["subject"] == name]


def reload_fails(toml, *words):
    with instance('[services.a]\ncommand = ["sleep", "1000"]\n' + toml) as one:
        result = one.run("reload", "a")
        assert result.returncode == 1 and len(result.stderr.splitlines()) == 1, result
        (event,) = told(one, "a", "reloaded")
        assert event["data"]["outcome"] == "failed", event
        for text in (result.stderr, event["data"]["detail"], one.ok("why", "a"), one.ok("status", "a"), one.ok("events", "--since", "start")):
            assert all(word in text for word in words), text
        assert one.state("a") == "running" and one.status("a")["restarts"] == 0


def test_a_reload_whose_command_fails():
    reload_fails('reload = { command = ["sh", "-c", "exit 7"] }\n', "exited with 7")


def test_a_reload_whose_command_can_not_be_executed():
    reload_fails('reload = { command = ["/nonexistent"] }\n', "exec", "/nonexistent", "No such file")


def test_a_reload_whose_command_takes_too_long():
    reload_fails('reload = { command = ["sleep", "50"], timeout = "300ms" }\n', "did not end in time")


def test_a_reload_after_one_that_failed():
    toml = '[services.a]\ncommand = ["sleep", "1000"]\nreload = { command = ["test", "-e", "ok"] }\n'
    with instance(toml) as one:
        assert one.run("reload", "a").returncode == 1
        (one.folder / "ok").touch()
        one.ok("reload", "a")
        assert [e["data"]["outcome"] for e in told(one, "a", "reloaded")] == ["failed", "done"]
        assert "reload failed" not in one.ok("why", "a") + one.ok("status", "a")


def test_a_paused_service_is_not_reloaded():
    toml = '[services.a]\ncommand = ["sleep", "1000"]\nreload = { command = ["true"] }\n'
    with instance(toml) as one:
        one.ok("pause", "a")
        result = one.run("reload", "a")
        assert result.returncode == 7 and "paused" in result.stderr, result


def never_ready(ready, *words, more=""):
    toml = f'[services.a]\ncommand = ["sleep", "1000"]\nready = {ready}\nrestart = "never"\nautostart = false\n{more}'
    with instance(toml) as one:
        starting = one.run("start", "a", "--no-wait")
        assert starting.returncode == 0, starting
        until(lambda: all(word in str(one.status("a")["waiting_for"]) for word in words))
        assert all(word in one.ok("why", "a") for word in words)
        result = one.run("start", "a")
        assert result.returncode == 1, result
        (event,) = told(one, "a", "failed")
        for text in (result.stderr, one.ok("why", "a"), one.ok("status", "a"), event["data"]["detail"]):
            assert "not ready in time" in text and all(word in text for word in words), text


def test_never_ready_by_a_command():
    never_ready('{ exec = ["sh", "-c", "exit 9"], timeout = "1s" }', "exited with 9")


def test_never_ready_by_a_command_that_is_not_there():
    never_ready('{ exec = ["/nonexistent"], timeout = "1s" }', "/nonexistent", "No such file")


def test_never_ready_by_tcp():
    never_ready('{ tcp = "127.0.0.1:1", timeout = "1s" }', "127.0.0.1:1", "refused")


def test_never_ready_by_the_name_of_a_host():
    never_ready('{ tcp = "nosuchhost.invalid:80", timeout = "1s" }', "nosuchhost.invalid", "/etc/hosts")


def test_never_ready_by_a_pid_file():
    never_ready('{ pidfile = "nope.pid", timeout = "1s" }', "nope.pid", "No such file")


def test_unhealthy_says_why():
    toml = '[services.a]\ncommand = ["sleep", "1000"]\n' \
           'health = { tcp = "127.0.0.1:1", every = "50ms", failures = 2, action = "none" }\n'
    with instance(toml) as one:
        until(lambda: told(one, "a", "unhealthy"))
        (event,) = told(one, "a", "unhealthy")
        for text in (event["data"]["detail"], one.ok("why", "a"), one.ok("status", "a")):
            assert "127.0.0.1:1" in text and "refused" in text, text


def test_a_health_check_that_was_killed_gave_no_answer():
    toml = '[services.a]\ncommand = ["sleep", "1000"]\n' \
           'health = { exec = ["sleep", "50"], every = "50ms", timeout = "100ms", failures = 1, action = "none" }\n'
    with instance(toml) as one:
        until(lambda: told(one, "a", "unhealthy"))
        assert told(one, "a", "unhealthy")[0]["data"]["detail"] == "no answer in time"


def test_commands_of_a_stop_that_fail():
    toml = """[services.a]
command = ["sleep", "1000"]
pre-stop = [["true"], ["sh", "-c", "exit 5"]]
stop = { command = ["/nonexistent"] }
post-stop = [["false"], ["sleep", "50"]]
hook-timeout = "300ms"
"""
    words = ("pre-stop command 2 failed: exited with 5", "stop-command failed", "/nonexistent", "No such file",
             "post-stop command 1 failed: exited with 1", "post-stop command 2 did not end in time")
    with instance(toml) as one:
        one.ok("stop", "a")
        (event,) = told(one, "a", "stopped")
        for text in (event["data"]["detail"], one.ok("why", "a"), one.ok("status", "a")):
            assert all(word in text for word in words), text
        assert "killed by" not in event["data"]["detail"], event
        one.ok("start", "a")
        until(lambda: one.state("a") == "running")


def test_a_stop_that_goes_well_says_nothing_more():
    toml = '[services.a]\ncommand = ["sleep", "1000"]\npre-stop = [["true"]]\npost-stop = [["true"]]\n'
    with instance(toml) as one:
        one.ok("stop", "a")
        assert ";" not in told(one, "a", "stopped")[0]["data"]["detail"]


HEALTH = '[services.db]\ncommand = ["sleep", "1000"]\n' \
         'health = { exec = ["test", "-e", "ok"], every = "50ms", failures = 2, action = "none" }\n'


def dependent(name, needs):
    return f'[services.{name}]\ncommand = ["sleep", "1000"]\n{needs}\nreload = {{ command = ["true"] }}\n'


def test_readiness_is_lost_and_comes_back():
    toml = HEALTH + dependent("plain", 'requires = ["db"]') + dependent("bound", 'binds-to = ["db"]') + \
        dependent("paused", 'requires = [{ service = "db", on-loss = "pause" }]') + \
        dependent("told", 'requires = [{ service = "db", on-loss = "reload" }]')
    with instance(toml, {"ok": ""}) as one:
        until(lambda: told(one, "db", "healthy"))
        os.unlink(one.folder / "ok")
        until(lambda: told(one, "db", "unready"))
        assert "ready" not in one.status("db")["conditions"] and one.state("db") == "running"
        until(lambda: one.state("paused") == "paused")
        assert one.run("wait", "db", "--for", "ready", "--timeout", "0").returncode == 6
        time.sleep(0.3)
        # Who did not declare anything goes on; binds-to speaks of an end, and nothing has ended.
        assert [one.status(name)["run"] for name in ("db", "plain", "bound", "paused", "told")] == [1] * 5
        (one.folder / "ok").touch()
        until(lambda: "ready" in one.status("db")["conditions"])
        until(lambda: one.state("paused") == "running" and told(one, "told", "reloaded"))
        words = [e["type"].rsplit(".", 1)[1] for e in one.events() if e.get("subject") == "db"]
        assert words == ["starting", "started", "ready", "healthy", "unhealthy", "unready", "healthy", "ready"], words
        assert one.run("wait", "db", "--for", "ready", "--timeout", "0").returncode == 0
        assert not told(one, "plain", "reloaded") and not told(one, "plain", "paused")


def test_who_starts_later_waits_for_a_readiness_that_is_lost():
    with instance(HEALTH + dependent("late", 'requires = ["db"]\nautostart = false')) as one:
        until(lambda: told(one, "db", "unready"))
        one.ok("start", "late", "--no-wait")
        until(lambda: "db to be ready" in str(one.status("late")["waiting_for"]))
        (one.folder / "ok").touch()
        one.reaches("late", "running")


def test_a_service_whose_checks_are_taken_out_is_ready_again():
    with instance(HEALTH) as one:
        until(lambda: told(one, "db", "unready"))
        one.config.write_text('[services.db]\ncommand = ["sleep", "1000"]\n')
        one.ok("reload-config")
        until(lambda: "ready" in one.status("db")["conditions"])
        assert one.status("db")["run"] == 1 and len(told(one, "db", "ready")) == 2
