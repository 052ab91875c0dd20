"""Configurations that are too much: large, long, endless, or no text at all.  Each is refused at once with one line and its place."""
import os
import resource
import subprocess
import time

from harness import BIN, Instance, instance

CALM = '[services.calm]\ncommand = ["sleep", "1000"]\n'


def refused(one, *words, seconds=10, status=2):
    start = time.monotonic()
    result = one.run("check", timeout=60)
    assert result.returncode == status, result
    assert time.monotonic() - start < seconds
    for word in words:
        assert word in result.stderr, result.stderr[:2000]
    assert len(result.stderr) < 100_000
    return result.stderr


def test_a_hundred_megabytes():
    one = Instance("")
    try:
        with open(one.config, "w") as file:
            for _ in range(100):
                file.write("# nothing but comments, but a great many of them\n" * 21400)
        assert one.config.stat().st_size > 100_000_000

        def bounded():
            resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))
        result = subprocess.run([str(BIN / "abide"), "-C", str(one.folder), "check"], stderr=subprocess.PIPE, text=True,
                                timeout=20, preexec_fn=bounded)
        assert result.returncode == 2 and "abide.toml" in result.stderr and "16" in result.stderr, result
        assert len(result.stderr.splitlines()) <= 2, result.stderr
    finally:
        one.close()


def chain(length, last=""):
    services = ['[services.s0]\ncommand = ["true"]\n' + last]
    services += [f'[services.s{i}]\ncommand = ["true"]\nrequires = ["s{i - 1}"]\n' for i in range(1, length)]
    return "".join(services)


def test_a_chain_of_ten_thousand():
    one = Instance(chain(10_000))
    try:
        start = time.monotonic()
        assert "10000 services" in one.ok("check", timeout=60)
        assert time.monotonic() - start < 10
    finally:
        one.close()


def test_a_cycle_of_ten_thousand():
    one = Instance(chain(10_000, 'requires = ["s9999"]\n'))
    try:
        text = one.run("check", timeout=60)
        assert text.returncode == 7 and "s0 requires s9999" in text.stderr, text.stderr[:300]
    finally:
        one.close()


def test_a_chain_is_started_in_its_order():
    length = 300
    services = [f'[services.s{i}]\nkind = "task"\ncommand = ["sh", "-c", "echo {i} >> order"]\n' +
                (f'requires = ["s{i - 1}:succeeded"]\n' if i else "") for i in range(length)]
    with instance("".join(services)) as one:
        one.reaches(f"s{length - 1}", "completed", 60)
        assert (one.folder / "order").read_text().split() == [str(i) for i in range(length)]


def test_a_loop_of_symbolic_links():
    one = Instance("")
    try:
        one.config.unlink()
        one.config.symlink_to("abide.toml")
        result = one.run("check")
        assert result.returncode == 2 and "abide.toml" in result.stderr and len(result.stderr.splitlines()) <= 2, result
        one.config.unlink()
        one.config.write_text('include = ["loop.toml"]\n' + CALM)
        (one.folder / "loop.toml").symlink_to("loop.toml")
        refused(one, "loop.toml", "abide.toml:1:")
        (one.folder / "loop.toml").unlink()
        (one.folder / "loop.toml").write_text('include = ["abide.toml"]\n')
        refused(one, "cycle of includes")
    finally:
        one.close()


def test_not_utf8_has_its_place():
    one = Instance("")
    try:
        one.config.write_bytes(CALM.encode() + b'[services.b]\ncommand = ["\xff\xfe"]\n')
        text = refused(one, "abide.toml:4:")
        assert "\\xff" in text or "UTF-8" in text, text
        one.config.write_bytes(os.urandom(4096))
        refused(one, "abide.toml")
        one.config.write_bytes(b"\0" * 4096)
        refused(one, "abide.toml")
    finally:
        one.close()


def test_names():
    for name in ("../a", "a/b", "", "-a", ".a", "a b", "a@b@c", "a" * 65, "ä"):
        one = Instance(f'[services."{name}"]\ncommand = ["true"]\n')
        try:
            refused(one, "abide.toml:1:")
        finally:
            one.close()
    one = Instance(f'[services."{"a" * 64}"]\ncommand = ["true"]\n[services.A_b-c.d9]\ncommand = ["true"]\n'.replace(
        "A_b-c.d9", '"A_b-c.d9"'))
    try:
        one.ok("check")
    finally:
        one.close()


def test_a_bad_pattern_is_found_when_it_is_loaded():
    one = Instance('[services.a]\ncommand = ["sleep", "1"]\nready = { log = "(ready" }\n')
    try:
        refused(one, "abide.toml:3:17: error", "pattern")
    finally:
        one.close()


def test_a_service_that_only_moves_in_its_file_is_not_changed():
    with instance(CALM) as one:
        pid = one.status("calm")["pid"]
        one.config.write_text("# a line above\n\n" + CALM)
        assert "nothing would change" in one.ok("plan")
        one.ok("reload-config")
        assert one.status("calm")["pid"] == pid


def test_a_running_instance_keeps_what_it_has():
    with instance(CALM) as one:
        pid = one.status("calm")["pid"]
        for text in ("\0", '[services.calm]\ncommand = "sleep 1000\n', chain(50, 'requires = ["s49"]\n')):
            one.config.write_text(text)
            assert one.run("reload-config").returncode in (2, 7)
            assert one.status("calm")["pid"] == pid
