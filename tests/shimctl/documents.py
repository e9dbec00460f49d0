#!/usr/bin/env python3
"""Runs the examples of shimctl's documents that are marked to be run.

A block of the language "sh run" runs in a directory of its own with a fresh token "test" (PINs 1234 and 5678),
"shimctl" in PATH and P11_MODULE set; one that ends in "sh run proxied" runs behind a proxyd. Each must succeed. So must
the commands of blocks without a language that follow "$ ", behind a proxyd; what they print there is an example.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

BUILD = os.environ["P11TEST_BUILD_DIR"]
SOURCE = os.environ["P11TEST_SOURCE_DIR"]
MODULE = os.environ.get("SOFTHSM2_MODULE", "/usr/lib/softhsm/libsofthsm2.so")
DOCUMENTS = ["shimctl.md", "bench.md", "automation.md"]
CONSOLE = re.compile(r"^```\n(\$ .*?)^```$", re.MULTILINE | re.DOTALL)
# Of commands that are shown with their output: tools that are not installed, and pools of several members.
MISSING = [tool for tool in ("jq", "pkcs11-tool") if not shutil.which(tool)] + ["pool show", "pool diff"]
BLOCK = re.compile(r"^```sh run( proxied)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)

if not os.path.exists(MODULE) or not shutil.which("softhsm2-util"):
    sys.exit(77)


def run(number, proxied, script):
    folder = tempfile.mkdtemp(prefix="shimctl-docs.")
    try:
        os.mkdir(os.path.join(folder, "tokens"))
        with open(os.path.join(folder, "softhsm2.conf"), "w", encoding="utf-8") as config:
            config.write(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
        environment = dict(os.environ, SOFTHSM2_CONF=f"{folder}/softhsm2.conf", P11_MODULE=MODULE, TMPDIR=folder,
                           PATH=f"{BUILD}/bin:{os.environ['PATH']}", PIN="1234", SOPIN="5678")
        subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "test", "--pin", "1234", "--so-pin",
                        "5678"], env=environment, check=True, stdout=subprocess.DEVNULL)
        command = ["sh", "-eu", "-c", script]
        if proxied:
            command = [f"{BUILD}/bin/shimctl", "run", "--module", MODULE, "--"] + command
        done = subprocess.run(command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            print(f"example {number} ends with {done.returncode}:\n{script}\n{done.stdout.decode()}")
        return done.returncode == 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    results = []
    for name in DOCUMENTS:
        with open(os.path.join(SOURCE, "docs", name), encoding="utf-8") as document:
            text = document.read()
        blocks = BLOCK.findall(text)
        if not blocks:
            sys.exit(f"docs/{name} has no examples to run")
        shown = [line[2:] for block in CONSOLE.findall(text if name == "shimctl.md" else "") for line in block.splitlines() if line.startswith("$ ")]
        blocks += [(" proxied", line) for line in shown if not any(tool in line for tool in MISSING)]
        results += [run(f"{i + 1} of {name}", bool(proxied), script) for i, (proxied, script) in enumerate(blocks)]
    print(f"{sum(results)} of {len(results)} examples work")
    sys.exit(not all(results))


main()
