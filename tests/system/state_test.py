"""The state of an instance as text, and a journal read from a file: everything is there but secrets, and what is wrong is said."""
import contextlib
import glob
import json
import os
import pty
import subprocess

from harness import instance, until
from upgrade_test import generation

TOML = """
[project]
name = "stated"
[services.web]
command = "sleep 1000"
environment = { PASSWORD = "hunter2", COLOUR = "green" }
[services.later]
command = "true"
autostart = false
"""


def journal(one):
    """The journal as it lies with the anchor."""
    for link in glob.glob(f"/proc/{one.where()['anchor_pid']}/fd/*"):
        if "abide-journal" in os.readlink(link):
            with open(link, "rb") as file:
                return file.read()
    raise AssertionError("the anchor keeps no journal")


def test_state_is_whole_and_keeps_secrets():
    with instance(TOML) as one:
        until(lambda: one.state("web") == "running")
        text = one.ok("state")
        assert "hunter2" not in text and "PASSWORD" in text and "COLOUR" in text, text
        facts = [json.loads(line) for line in one.ok("state", "--json").splitlines()]
        services = {f["value"]["name"]: f["value"] for f in facts if f["fact"] == "service"}
        assert set(services) == {"web", "later"} and services["web"]["runs"][0]["processes"][0]["pid"] == one.status("web")["pid"]
        assert any(f["fact"] == "instance" for f in facts)
        assert "hunter2" not in json.dumps(facts)


def test_a_journal_in_a_file():
    with instance(TOML) as one:
        until(lambda: one.state("web") == "running")
        image = journal(one)
        file = one.folder / "journal"
        file.write_bytes(image)
        text = one.ok("state", "check", str(file))
        assert "service" in text and "web" in text and "hunter2" not in text
        file.write_bytes(image[:-3])
        torn = one.run("state", "check", str(file))
        assert torn.returncode == 1 and "torn" in torn.stderr, torn
        assert "web" in torn.stdout, "what is whole is shown all the same"
        half = bytearray(image)
        half[len(half) // 2] ^= 1
        file.write_bytes(half)
        assert one.run("state", "check", str(file)).returncode == 1
        file.write_bytes(b"nothing of the kind")
        assert one.run("state", "check", str(file)).returncode == 1
        assert one.run("state", "check", str(one.folder / "missing")).returncode == 1


def test_generation_says_what_was_found_out():
    with instance(TOML) as one:
        until(lambda: one.state("web") == "running")
        told = generation(one)
        assert told["epoch"] == 1 and told["reason"] == "first" and told["last_swap_us"] == 0 and not told["rescue"]
        assert told["program"].endswith("abide-manager") and ":" in told["identity"]
        assert told["unknown"] == [] and told["quarantined"] == [] and told["problems"] == []
        people = one.ok("generation")
        assert "generation" in people and "first" in people


def test_a_terminal_shows_the_state_in_lines():
    with instance(TOML) as one:
        lines = one.ok("state").splitlines()
        shown, terminal = pty.openpty()
        with subprocess.Popen([*one.command(), "state"], stdout=terminal, stdin=subprocess.DEVNULL) as state:
            os.close(terminal)
            text = b""
            with contextlib.suppress(OSError):  # a terminal without a program at its end
                while piece := os.read(shown, 65536):
                    text += piece
        os.close(shown)
        assert state.returncode == 0
        there = text.decode().splitlines()
        assert len(there) == len(lines) > 2 and "\\n" not in text.decode(), there
