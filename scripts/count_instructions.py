#!/usr/bin/env python3
"""Counts the instructions of one operation in the application's process (with the shim in it) and in proxyd.

  scripts/count_instructions.py                      the usual operations
  scripts/count_instructions.py random-32 --operations 500
  scripts/count_instructions.py --keep out           callgrind's files stay there, for callgrind_annotate

Each operation is run N times under callgrind, after it has been run a few times: what starting and the first use take does
not count. Needs a build (make; p11shim-bench-client), valgrind and SoftHSM; uses a token and a proxyd of its own.
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
USUAL = ["random-32", "ecdsa-logical", "find-and-read", "session-info", "open-close"]
PATIENCE_S = 120


def fail(text):
    sys.exit(f"count_instructions: {text}")


class Client:
    """p11shim-bench-client: a line for each command, a line for each answer."""

    def __init__(self, command, environment):
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer.startswith("ok"):
            fail(f"{line}: {answer.strip() or 'the client ended'}")

    def end(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE_S)


def callgrind(out):
    return ["valgrind", "--tool=callgrind", "--trace-children=no", f"--callgrind-out-file={out}"]


def control(process, what):
    """"--zero" or "--dump", while the program waits or runs."""
    done = subprocess.run(["callgrind_control", what, str(process.pid)], capture_output=True, text=True, timeout=PATIENCE_S)
    if done.returncode != 0 or "OK" not in done.stdout:
        fail(f"callgrind_control {what}: {done.stdout.strip()} {done.stderr.strip()}")


def dumped(out):
    """What the first dump has counted."""
    file = out.with_name(out.name + ".1")
    found = re.search(r"^(?:summary|totals): (\d+)", file.read_text(errors="replace"), re.MULTILINE)
    if not found:
        fail(f"callgrind counted nothing in {file}")
    return int(found.group(1))


def wait_for(path, process):
    until = time.monotonic() + PATIENCE_S
    while not path.exists():
        if process.poll() is not None or time.monotonic() > until:
            fail("proxyd does not start under valgrind")
        time.sleep(0.05)


def count(build, folder, environment, name, operations):
    """Instructions of one operation in the application's process and in proxyd."""
    socket = folder / "proxyd.sock"
    socket.unlink(missing_ok=True)
    outs = {side: folder / f"{name}.{side}" for side in ("application", "proxyd")}
    proxyd = subprocess.Popen(
        callgrind(outs["proxyd"]) + [build / "bin/proxyd", "--config", folder / "proxyd.toml"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(socket, proxyd)
        client = Client(
            callgrind(outs["application"]) + [build / "bin/p11shim-bench-client", "module", build / "lib/libpkcs11-shim.so"],
            environment | {"P11SHIM_ENDPOINT": f"unix:{socket}"},
        )
        client.ask("open 1")
        client.ask(f"repeat {name} 5")
        for process in (client.process, proxyd):
            control(process, "--zero")
        client.ask(f"repeat {name} {operations}")
        for process in (client.process, proxyd):
            control(process, "--dump")
        client.end()
    finally:
        proxyd.send_signal(signal.SIGTERM)
        proxyd.wait(PATIENCE_S)
    return {side: dumped(out) / operations for side, out in outs.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", nargs="*", default=USUAL, help="names as p11shim-bench prints them")
    parser.add_argument("--operations", type=int, default=200, help="N (default: 200)")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for callgrind's files")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        fail("valgrind is not installed")
    if options.operations < 1:
        fail("--operations must be at least 1")
    build = options.build.resolve()

    with tempfile.TemporaryDirectory(prefix="p11count-") as name:
        folder = pathlib.Path(name)
        (folder / "tokens").mkdir()
        (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
        (folder / "proxyd.toml").write_text(
            f'[listen]\nunix = "{folder}/proxyd.sock"\nmode = "0600"\n'
            f'[control]\nunix = "{folder}/control.sock"\nmode = "0600"\n'
            f'[state]\ndirectory = "{folder}/state"\n'
            f'[[module]]\nname = "module"\npath = "{SOFTHSM}"\ntokens = "*"\n'
        )
        environment = {key: value for key, value in os.environ.items() if not key.startswith("P11SHIM_")}
        environment |= {"SOFTHSM2_CONF": str(folder / "softhsm2.conf"), "HOME": str(folder)}
        direct = Client([build / "bin/p11shim-bench-client", "module", SOFTHSM], environment)
        direct.ask("prepare 20")
        direct.end()

        print(f"{'instructions of one operation':<30} {'application':>12} {'proxyd':>12}")
        for workload in options.workload:
            each = count(build, folder, environment, workload, options.operations)
            print(f"{workload:<30} {each['application']:>12.0f} {each['proxyd']:>12.0f}", flush=True)
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            for file in folder.glob("*.1"):
                shutil.copy(file, options.keep)


if __name__ == "__main__":
    main()
