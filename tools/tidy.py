#!/usr/bin/env python3
"""The rules of the house, checked: who may include whom, what is pure, sizes, descriptors, banned words.

    tools/tidy.py [--build DIR] [--root DIR] [RULE...]

Without --build the rules that need object files are skipped, and said to be.  Prints one line a finding,
file:line: [rule] what, and ends with `N passed, N failed` (rules).  tools/tidy_test.py shows that each rule can fail.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from tidy_anchor import ANCHOR_RULES  # noqa: E402
from tidy_build import BUILD_RULES  # noqa: E402
from tidy_docs import DOCS_RULES  # noqa: E402
from tidy_text import TEXT_RULES, Tree  # noqa: E402

TEXT_RULES = {**TEXT_RULES, **ANCHOR_RULES, **DOCS_RULES}

SHOWN = 40  # findings of one rule


def check(root, build=None, rules=None):
    """{rule: findings, or None where the rule needs a build and there is none}"""
    tree, results = Tree(root), {}
    for name, rule in TEXT_RULES.items():
        if not rules or name in rules:
            results[name] = rule(tree)
    for name, rule in BUILD_RULES.items():
        if not rules or name in rules:
            results[name] = rule(tree, build) if build else None
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--build", help="build tree, for example build/release")
    parser.add_argument("rules", nargs="*", metavar="RULE", help=", ".join([*TEXT_RULES, *BUILD_RULES]))
    options = parser.parse_args()
    unknown = set(options.rules) - set(TEXT_RULES) - set(BUILD_RULES)
    if unknown:
        parser.error("no such rule: " + ", ".join(sorted(unknown)))
    results = check(options.root, options.build, options.rules)
    for rule, findings in results.items():
        for finding in (findings or [])[:SHOWN]:
            print(f"{finding.file}:{finding.line}: [{rule}] {finding.text}")
        if findings and len(findings) > SHOWN:
            print(f"... and {len(findings) - SHOWN} more [{rule}]")
    skipped = [rule for rule, findings in results.items() if findings is None]
    if skipped:
        print(f"tidy: without --build not checked: {', '.join(skipped)}")
    failed = sum(bool(findings) for findings in results.values())
    passed = len(results) - failed - len(skipped)
    print(f"{passed} passed, {failed} failed" + (f", {len(skipped)} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
