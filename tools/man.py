#!/usr/bin/env python3
"""Makes man pages from the pages in docs/ and from the public headers, so that there is one source.

    tools/man.py FOLDER        writes abide.1, abide.toml.5, libabide.3, and abide_monitor.3 and its like of the headers

Understands the Markdown that docs/ uses: headings, paragraphs, lists, tables, indented and fenced code, bold, italics, links.
"""
import re
import sys
from pathlib import Path

import man_headers

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = {"abide.1": ("reference.md", "run services, and keep them running"),
         "abide.toml.5": ("abide.toml.md", "what an abide.toml may contain"),
         "libabide.3": ("libabide.md", "start processes, and be told of each end exactly once")}
HEADERS = {"abide_monitor.3": "abide/monitor.hpp", "abide_command.3": "abide/monitor/command.hpp",
           "abide_process.3": "abide/monitor/process.hpp", "abide_group.3": "abide/monitor/group.hpp"}


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text


def inline(text):
    """Code, bold, italics and links of one paragraph."""
    result = []
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text.replace("\\|", "|"))
    for part in re.split(r"(``.+?``|`[^`]+`)", text):
        if part.startswith("`"):
            result.append("\\fB" + escape(part.strip("`").strip()) + "\\fR")
            continue
        part = re.sub(r"\*\*([^*]+)\*\*", r"\\fB\1\\fR", escape(part))
        result.append(re.sub(r"(?<![\w*])\*([^*\s][^*]*)\*", r"\\fI\1\\fR", part))
    line = "".join(result)
    return "\\&" + line if line.startswith((".", "'")) else line


def code_block(lines):
    return [".PP", ".in +4n", ".nf", *[escape(line) for line in lines], ".fi", ".in"]


def table(rows):
    """As tagged paragraphs: the first cell, then the others with their headings."""
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))] for row in rows]
    heads, result = cells[0], []
    for row in cells[2:]:
        rest = [f"{head}: {cell}" if head and len(row) > 2 else cell for head, cell in zip(heads[1:], row[1:]) if cell]
        result += [".TP", inline(row[0]) or "\\&", inline("; ".join(rest)) or "\\&"]
    return result


def convert(name, brief, text):
    title, section = name.rsplit(".", 1)
    out = [f'.TH "{title.upper()}" "{section}" "" "abide" "Abide"', ".SH NAME", f"{escape(title)} \\- {escape(brief)}"]
    lines, at = text.splitlines(), 0
    while at < len(lines):
        line, start = lines[at], at
        if line.startswith("# "):
            out.append(".SH DESCRIPTION")
        elif line.startswith("## "):
            out.append(f'.SH "{escape(line[3:]).upper()}"')
        elif line.startswith("###"):
            out.append(f'.SS "{escape(line.lstrip("# ").replace("`", ""))}"')
        elif line.startswith("```"):
            while at + 1 < len(lines) and not lines[at + 1].startswith("```"):
                at += 1
            out += code_block(lines[start + 1:at + 1])
            at += 1
        elif line.startswith("    "):
            while at + 1 < len(lines) and lines[at + 1].startswith("    "):
                at += 1
            out += code_block([code[4:] for code in lines[start:at + 1]])
        elif line.startswith("|"):
            while at + 1 < len(lines) and lines[at + 1].startswith("|"):
                at += 1
            out += table(lines[start:at + 1])
        elif line.strip():
            stop = re.compile(r"^(#|```|\||- |\s*$)")
            while at + 1 < len(lines) and not stop.match(lines[at + 1]):
                at += 1
            words = " ".join(part.strip() for part in lines[start:at + 1])
            out += [".IP \\(bu 2", inline(words[2:])] if line.startswith("- ") else [".PP", inline(words)]
        at += 1
    return "\n".join(out) + "\n"


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, (source, brief) in PAGES.items():
        if (DOCS / source).exists():
            (folder / name).write_text(convert(name, brief, (DOCS / source).read_text()))
            print(folder / name)
    for name, header in HEADERS.items():
        source = (ROOT / "include" / header).read_text()
        (folder / name).write_text(man_headers.page(name, header, source, (escape, inline, code_block)))
        print(folder / name)


if __name__ == "__main__":
    sys.exit(main() if len(sys.argv) == 2 else print(__doc__) or 2)
