#!/usr/bin/python3
"""Runs one section of a Markdown document: its ```sh blocks, in order, as one script in the current directory.

    run_recipe.py DOCUMENT TITLE
    run_recipe.py --list DOCUMENT       the titles that can be run

The blocks of the document's first section, which prepares what the others use, run before those of the section TITLE.
What they print goes to stderr: it is no transcript.
"""

import subprocess
import sys

START, END = "```sh\n", "```\n"
LIMIT_SECONDS = 120


def sections(document):
    """Title -> list of shell blocks, in the document's order."""
    found = {}
    title, block = None, None
    for line in document:
        if block is not None:
            if line == END:
                found[title].append("".join(block))
                block = None
            else:
                block.append(line)
        elif line.startswith("## "):
            title = line[3:].strip()
            found[title] = []
        elif line == START and title:
            block = []
    return found


def main(path, title):
    """Lists the recipes, or runs one."""
    listing = path == "--list"
    with open(title if listing else path, encoding="utf-8") as document:
        preparation, *recipes = sections(document).items()
    recipes = {name: blocks for name, blocks in recipes if blocks}
    if listing:
        print(*recipes, sep="\n")
        return 0
    script = "\n".join(["set -euo pipefail", *preparation[1], "set -x", *recipes[title]])
    return subprocess.run(["bash", "-c", script], stdout=sys.stderr, stdin=subprocess.DEVNULL, check=False,
                          timeout=LIMIT_SECONDS).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
