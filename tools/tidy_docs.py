"""What the pages say of tests and commands: what they name is there, and each row of Upstart's list names a test."""
import os
import re
from pathlib import Path

from tidy_text import Finding

PAGE, CELLS = "docs/upstart-matrix.md", "docs/matrix.md"
NAMED = re.compile(r"`(test_\w+|[A-Z]\w+\.[A-Z]\w+)`")
SYSTEM_TEST = re.compile(r"^def (test_\w+)\(", re.M)
UNIT_TEST = re.compile(r"^TEST(?:_F|_P)?\((\w+), (\w+)\)", re.M)
QUOTED = re.compile(r'"([^"]+)"')
COMMAND = re.compile(r"`(?:[A-Z_]+=\S* +)*((?:\./)?[\w./-]+\.(?:py|sh))(?: [^`]*)?`")
COVERED = ("listed by", "–")  # what the generator lists as pending, and what is out of scope


def tests_of(root):
    tests = set()
    for file in (root / "tests").rglob("*"):
        if file.suffix == ".py":
            tests.update(SYSTEM_TEST.findall(file.read_text()))
        elif file.suffix == ".cc":
            tests.update(f"{suite}.{name}" for suite, name in UNIT_TEST.findall(file.read_text()))
    return tests


def rule_proofs(tree):
    """A test that a page names is there, and each row of Upstart's list names one."""
    root, findings = Path(tree.root), []
    tests = tests_of(root)
    for page in sorted((root / "docs").glob("*.md")) if (root / "docs").is_dir() else []:
        name = page.relative_to(root).as_posix()
        for number, line in enumerate(page.read_text().splitlines(), 1):
            for test in NAMED.findall(line):
                if test not in tests:
                    findings.append(Finding(name, number, f"there is no test {test}"))
    if not (root / PAGE).is_file():
        return findings
    cells = (root / CELLS).read_text()
    for number, line in enumerate((root / PAGE).read_text().splitlines(), 1):
        if not line.startswith("| ") or line.startswith(("| code", "| row")):
            continue
        shown = line.rstrip(" |").rsplit("|", 1)[1]
        for words in QUOTED.findall(shown):
            parts = (words.replace(" ", "-"), words, "running" if words == "ready" else words)
            if not any(part in cells for part in parts):
                findings.append(Finding(PAGE, number, f'no cell of {CELLS} is "{words}"'))
        if not (NAMED.search(shown) or QUOTED.search(shown) or "`" in shown or "×" in shown or any(c in shown for c in COVERED)):
            findings.append(Finding(PAGE, number, "a row that no test shows"))
    return findings


def rule_commands(tree):
    """A script that a page tells to run can be run as it stands there."""
    root = Path(tree.root)
    return [Finding(page.relative_to(root).as_posix(), number, f"{script} is not executable")
            for page in [*sorted(root.glob("*.md")), *sorted(root.glob("docs/*.md"))]
            for number, line in enumerate(page.read_text().splitlines(), 1)
            for script in COMMAND.findall(line)
            if (root / script).is_file() and not os.access(root / script, os.X_OK)]


# Where the command line defines its commands, and where else their names stand.  Man pages are made from the reference.
APP, REFERENCE, COMPLETIONS = "src/cli/app.cc", "docs/reference.md", "packaging/completions/"
DEFINED = re.compile(r'add_command\(app, line,\s*(?:enable \? )?"([a-z-]+)"(?: : "([a-z-]+)")?|app\.add_subcommand\("([a-z-]+)"'
                     r'|\{"([a-z-]+)", control::Method::')
ELSEWHERE = {"init"}  # of the anchor's program
LISTED = {
    REFERENCE: (re.compile(r"^### (.*)$", re.M), re.compile(r"(?<=abide )[a-z-]+(?:\|[a-z-]+)*")),
    COMPLETIONS + "abide.bash": (re.compile(r"local commands='([^']*)'"), re.compile(r"[a-z-]+")),
    COMPLETIONS + "abide.fish": (re.compile(r"^set -l commands ((?:.*\\\n)*.*)$", re.M), re.compile(r"[a-z-]+")),
    COMPLETIONS + "_abide": (re.compile(r"commands=\(\n(.*?)\n    \)", re.S), re.compile(r"(?<=')[a-z-]+(?=:)")),
}


def rule_command_names(tree):
    """The command line, the reference and the completions of three shells have the same commands."""
    root, findings = Path(tree.root), []
    if not (root / APP).is_file():
        return findings
    defined = {name for names in DEFINED.findall((root / APP).read_text()) for name in names if name}
    for page, (place, word) in LISTED.items():
        text = (root / page).read_text() if (root / page).is_file() else ""
        listed = {name for part in place.findall(text) for words in word.findall(part) for name in words.split("|")}
        findings += [Finding(page, 1, f"lacks the command {name}") for name in sorted(defined - listed)]
        findings += [Finding(page, 1, f"there is no command {name}") for name in sorted(listed - defined - ELSEWHERE)]
    return findings


DOCS_RULES = {"command-names": rule_command_names, "proofs": rule_proofs, "commands": rule_commands}
