"""The rules of the program that must not grow: the anchor's size, and the system calls that it knows.

A seccomp filter would be inherited by everything that the anchor starts, through fork and exec and for ever (seccomp(2)), so
the list is kept here: its code has one place that enters the kernel, anchor/sys.hpp, and names each call there.
"""
import re

from tidy_text import Finding

MOST_LINES = 1500
# Shared with the container init: what a C library would be.
BARE = {"sys.hpp", "table.hpp", "text.cc", "text.hpp", "start.cc", "start.hpp", "run.hpp"}
INIT = {"init.cc", "init.hpp", "init_words.cc"}
NOT_CODE = re.compile(r"^\s*(//.*)?$")
CALL = re.compile(r"\b__NR_(\w+)")
ENTRY = re.compile(r"\bsyscall\b|\bsvc 0\b")


def sources(tree):
    return [name for name in tree.files("src") if name.startswith("src/anchor/") and name.rsplit("/", 1)[1] not in INIT]


def rule_anchor(tree):
    """The anchor has at most 1,500 lines of code, and makes only the system calls of tools/anchor_calls.txt."""
    found, lines, calls = [], 0, {}
    for name in sources(tree):
        file = name.rsplit("/", 1)[1]
        text = tree.text[name]
        if file not in BARE:
            lines += sum(not NOT_CODE.match(line) for line in text.splitlines())
        for number, line in enumerate(text.splitlines(), 1):
            code = line.split("//")[0]
            for call in CALL.findall(code):
                calls.setdefault(call, Finding(name, number, f"makes the system call {call}, which is not in tools/anchor_calls.txt"))
            if file != "sys.hpp" and ENTRY.search(code) and "abide_sigreturn" not in text:
                found.append(Finding(name, number, "enters the kernel beside anchor/sys.hpp"))
    if not sources(tree):
        return found
    if lines > MOST_LINES:
        found.append(Finding("src/anchor", 1, f"{lines} lines of code; at most {MOST_LINES}"))
    listed = {line.split()[0] for line in (tree.root / "tools/anchor_calls.txt").read_text().splitlines()
              if line.strip() and not line.startswith("#")}
    found += [finding for call, finding in sorted(calls.items()) if call not in listed]
    found += [Finding("tools/anchor_calls.txt", 1, f"lists {call}, which the anchor does not make")
              for call in sorted(listed - set(calls))]
    return found


ANCHOR_RULES = {"anchor": rule_anchor}
