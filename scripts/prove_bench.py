#!/usr/bin/env python3
"""Counts what shimctl's bench and automation claim, on SoftHSM: measure, target, figure.

  scripts/prove_bench.py [loop stall aa slow batch bytes] [--runs 100]

Build shimctl, p11shim-tight-loop and p11fault first (make bench-bench does). Exits with 1 if a target is missed.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build")
MODULE = os.environ.get("SOFTHSM2_MODULE", "/usr/lib/softhsm/libsofthsm2.so")
FAULT = os.path.join(BUILD, "tests", "libp11fault.so")
missed = []


class Place:
    """A private token "test" in memory, with the fault module before a SoftHSM of its own."""

    def __init__(self):
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.mkdtemp(prefix="prove-bench.", dir=base)
        os.mkdir(self.path("tokens"))
        with open(self.path("softhsm2.conf"), "w", encoding="utf-8") as config:
            config.write(f"directories.tokendir = {self.path('tokens')}\nlog.level = ERROR\n")
        # Another path is another instance, so that both can be in one process.
        shutil.copy(MODULE, self.path("second.so"))
        self.environment = dict(os.environ, SOFTHSM2_CONF=self.path("softhsm2.conf"), PIN="1234",
                                P11FAULT_MODULE=self.path("second.so"), P11FAULT_CONTROL=self.path("control"),
                                SHIMCTL_JOURNAL=self.path("jobs.db"))
        self.rules("")
        subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "test", "--pin", "1234", "--so-pin",
                        "5678"], env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def path(self, name):
        return os.path.join(self.folder, name)

    def rules(self, text):
        if os.path.exists(self.path("control.state")):
            os.remove(self.path("control.state"))
        with open(self.path("control"), "w", encoding="utf-8") as control:
            control.write(text + "\n")

    def shimctl(self, *words, module=MODULE):
        return subprocess.run([os.path.join(BUILD, "bin", "shimctl"), "--module", module, "--token", "test",
                               "--pin-from", "env:PIN", *words], env=self.environment, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)

    def tests(self, *words, module=MODULE):
        done = self.shimctl("bench", "run", *words, "-o", "json", module=module)
        if not done.stdout:
            sys.exit(done.stderr.decode())
        return json.loads(done.stdout)["data"]["tests"]

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def show(measure, target, figure, good):
    print(f"{measure:<58} {target:<22} {figure:<44} {'ok' if good else 'MISSED'}", flush=True)
    if not good:
        missed.append(measure)


def loop(place, _):
    done = subprocess.run([os.path.join(BUILD, "tests", "p11shim-tight-loop"), MODULE, "test", "rsa2048-sign",
                           "p256-sign"], env=place.environment, stdout=subprocess.PIPE, check=True)
    for line in done.stdout.decode().splitlines():
        found = json.loads(line)
        show(f"{found['test']}: bench against a tight loop", "within 3 %",
             f"{found['difference_percent']:+.2f} % ({found['bench']:.0f}/s, {found['loop']:.0f}/s)",
             abs(found["difference_percent"]) <= 3)


def stall(place, _):
    place.rules("C_Sign latency=1400ms after=700 times=1")
    test = place.tests("--only", "p256-sign", "--rate", "200", "--duration", "10s", "--warmup", "0s", module=FAULT)[0]
    corrected = test["p99_ns"] / 1e6
    uncorrected = test["uncorrected_p99_ns"] / 1e6
    show("one stall of 1.4 s at 200/s: p99 from the intended begin", ">= 1000 ms", f"{corrected:.0f} ms", corrected >= 1000)
    show("  the same, uncorrected, shown beside it", "hides it", f"{uncorrected:.1f} ms", uncorrected < 1000)


def verdicts(place, runs, other):
    counts, ratios = {}, []
    for i in range(runs):
        test = place.tests("--only", "rsa2048-sign", "--vs", other, "--duration", "2s", "--warmup", "100ms", "--seed",
                           str(i + 1))[-1]
        verdict = test["comparison"]["verdict"]
        counts[verdict] = counts.get(verdict, 0) + 1
        ratios.append(test["comparison"]["ratio"])
    ratios.sort()
    text = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    return counts, ratios[len(ratios) // 2], text


def aa(place, runs):
    counts, _, text = verdicts(place, runs, "self")
    show(f"A/A, {runs} comparisons at 1 %: no change", ">= 95 of 100", text, counts.get("~", 0) >= 0.95 * runs)


def slow(place, runs):
    # What the fault module costs by itself, and what a sleep of its own does, are part of the 10 %.
    def ratio(rule):
        place.rules(rule)
        return sorted(place.tests("--only", "rsa2048-sign", "--vs", FAULT, "--duration", "2s", "--warmup", "100ms",
                                  "--seed", str(i))[-1]["comparison"]["ratio"] for i in range(3))[1]
    base = place.tests("--only", "rsa2048-sign", "--duration", "2s")[0]["p50_ns"]
    low, high, delay = 0, int(0.2 * base), int(0.1 * base)
    for _ in range(6):
        found = ratio(f"C_Sign latency={delay}ns")
        if abs(found - 1.1) < 0.005:
            break
        low, high = (delay, high) if found < 1.1 else (low, delay)
        delay = (low + high) // 2
    place.rules(f"C_Sign latency={delay}ns")
    counts, median, text = verdicts(place, runs, FAULT)
    show(f"a slow-down of {100 * (median - 1):.1f} %, {runs} comparisons: found", ">= 95 of 100", text,
         counts.get("slower", 0) >= 0.95 * runs)


def labels(place):
    listed = json.loads(place.shimctl("key", "list", "-o", "json").stdout)["data"]["keys"]
    return sorted(key["label"] for key in listed)


def batch(place, runs):
    steps = min(runs, 100)
    with open(place.path("plan.toml"), "w", encoding="utf-8") as plan:
        plan.write(f'[[step]]\naction = "generate"\nlabel = "k-{{n:3}}"\ntype = "aes:256"\ncount = {steps}\n')
    shutil.copytree(place.path("tokens"), place.path("tokens.before"))
    wanted = sorted(f"k-{n:03}" for n in range(1, steps + 1))
    place.environment["P11FAULT_MODULE"] = MODULE
    right = 0
    kills = 0
    for step in range(steps):
        # Before the key is made; and after it, before the journal knows.
        for rule in (f"C_GenerateKey crash=kill after={step}", f"C_FindObjectsFinal crash=kill after={3 * step + 2}"):
            shutil.rmtree(place.path("tokens"))
            shutil.copytree(place.path("tokens.before"), place.path("tokens"))
            for name in ("jobs.db", "jobs.db-wal", "jobs.db-shm"):
                if os.path.exists(place.path(name)):
                    os.remove(place.path(name))
            place.rules(rule)
            done = place.shimctl("batch", "apply", place.path("plan.toml"), module=FAULT)
            kills += done.returncode == -signal.SIGKILL
            back = (step + kills) % 2 == 0
            place.shimctl("batch", "rollback" if back else "resume")
            right += labels(place) == ([] if back else wanted)
    show(f"a batch of {steps} keys, {kills} times SIGKILL, finished or taken back", "exact each time",
         f"{right} of {2 * steps}", right == 2 * steps and kills == 2 * steps)


def altered(place, _):
    place.shimctl("key", "gen-secret", "--label", "kek")
    place.shimctl("key", "gen-secret", "--label", "s", "--attr", "extractable")
    bundle = place.path("bundle")
    place.shimctl("backup", "create", "--kek", "kek", "--out", bundle)
    with open(bundle, "rb") as stream:
        good = stream.read()
    refused = 0
    for at in range(len(good)):
        with open(bundle, "wb") as stream:
            stream.write(good[:at] + bytes([good[at] ^ (1 << (at % 8))]) + good[at + 1:])
        refused += place.shimctl("backup", "verify", bundle, "--kek", "kek").returncode != 0
    show("a bundle with one byte altered: refused", f"{len(good)} of {len(good)}", f"{refused} of {len(good)}",
         refused == len(good))


def main():
    parts = {"loop": loop, "stall": stall, "aa": aa, "slow": slow, "batch": batch, "bytes": altered}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(parts))
    parser.add_argument("--runs", type=int, default=100, help="comparisons, and keys of the batch")
    options = parser.parse_args()
    for name in options.parts or parts:
        if name not in parts:
            parser.error(f"no part is called {name}")
        place = Place()
        try:
            parts[name](place, options.runs)
        finally:
            place.close()
    sys.exit(bool(missed))


main()
