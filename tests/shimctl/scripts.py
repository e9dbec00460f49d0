#!/usr/bin/env python3
"""The two scripts that shimctl was made for, as people write them, on SoftHSM itself and through a proxyd.

Only the durations are shorter, and a comparison may find the machine too noisy, or a change: P11TEST_FULL_SCRIPTS=1 lets
them run as they stand. What each command of theirs shows is looked at by other tests.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

BUILD = os.environ["P11TEST_BUILD_DIR"]
MODULE = os.environ.get("SOFTHSM2_MODULE", "/usr/lib/softhsm/libsofthsm2.so")
FULL = os.environ.get("P11TEST_FULL_SCRIPTS") == "1"

TOOLBOX = r"""
export PIN=1234; p11="--module $P11_MODULE --token test --pin-from env:PIN"
shimctl $p11 key gen --type ec:P-256 --label k
shimctl $p11 key list -o json
shimctl $p11 key export-pub k > pub.pem
shimctl $p11 sign --key k --hash sha256 --format der --in m --out s && openssl dgst -sha256 -verify pub.pem -signature s m
shimctl explain-error 0x150 -o json
"""

BENCH = r"""
export PIN=1234; p11="--module $P11_MODULE --token test --pin-from env:PIN"
shimctl $p11 bench run --only rsa2048-sign,p256-sign --threads 4 --duration 10s -o json > a.json
shimctl $p11 bench run --only sign --rate 200 --vs direct --report report.html
shimctl $p11 bench stress --key k --threads 8 --duration 60s --interval 5s
shimctl $p11 bench mix "sign:50%,verify:30%,encrypt:20%" --duration 20s
shimctl $p11 bench suite suite.toml
shimctl bench compare a.json b.json --fail-on-regress 10%
shimctl $p11 batch apply plan.toml && shimctl $p11 rotate run --pattern 'prod-*' --backup ./backups --canary 1
shimctl $p11 backup create --kek kek-label --out bundle && shimctl $p11 backup verify bundle
"""
SHORTER = [("--duration 10s", "--duration 400ms"), ("--duration 60s", "--duration 1s"), ("--interval 5s", "--interval 100ms"),
           ("--duration 20s", "--duration 400ms"), ("--only sign --rate 200", "--only sign --rate 200 --duration 300ms --warmup 50ms")]
SUITE = '[[run]]\nname = "signing"\nonly = ["p256-sign"]\nthreads = 2\nduration = "200ms"\nwarmup = "50ms"\n'
PLAN = """
[[step]]
action = "generate"
label = "prod-{n:2}"
type = "ec:P-256"
attributes = "extractable"
count = 2

[[step]]
action = "generate"
label = "kek-label"
type = "aes:256"
"""

if not os.path.exists(MODULE) or not shutil.which("softhsm2-util"):
    print("skipped: there is no SoftHSM here")
    sys.exit(77)


def check(good, what):
    if not good:
        sys.exit(f"{what} is not as it should be")


def run(way):
    folder = tempfile.mkdtemp(prefix="shimctl-scripts.")

    def path(name):
        return os.path.join(folder, name)

    def shell(script):
        command = ["sh", "-eu", "-c", script]
        if way == "proxied":
            command = [f"{BUILD}/bin/shimctl", "run", "--module", MODULE, "--"] + command
        done = subprocess.run(command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=600, check=False)
        if done.returncode != 0:
            sys.exit(f"{way}: the script ends with {done.returncode}:\n{script}\n{done.stdout.decode()[-3000:]}\n"
                     f"{done.stderr.decode()[-3000:]}")
        return done.stdout.decode()

    try:
        os.mkdir(path("tokens"))
        for name, text in (("softhsm2.conf", f"directories.tokendir = {path('tokens')}\nlog.level = ERROR\n"),
                           ("suite.toml", SUITE), ("plan.toml", PLAN), ("m", "message\n")):
            with open(path(name), "w", encoding="utf-8") as stream:
                stream.write(text)
        environment = dict(os.environ, SOFTHSM2_CONF=path("softhsm2.conf"), P11_MODULE=MODULE, TMPDIR=folder, HOME=folder,
                           PATH=f"{BUILD}/bin:{os.environ['PATH']}")
        for name in ("SHIMCTL_JOURNAL", "P11SHIM_ENDPOINT", "P11SHIM_CONTROL"):
            environment.pop(name, None)
        subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "test", "--pin", "1234", "--so-pin", "5678"],
                       env=environment, check=True, stdout=subprocess.DEVNULL)
        shown = shell(TOOLBOX)
        check("Verified OK" in shown, "the signature")
        check("CKR_BUFFER_TOO_SMALL" in shown, "explain-error")

        script = BENCH
        if not FULL:
            for long, short in SHORTER:
                check(long in script, long)
                script = script.replace(long, short)
            script = script.replace("--fail-on-regress 10%", "--fail-on-regress 10% || case $? in 1 | 9) ;; *) exit 1 ;; esac")
        # b.json is another run's.
        first = script[:script.index("shimctl $p11 bench run --only sign ")].replace("a.json", "b.json")
        shell(first)
        shown = shell(script)
        check(json.load(open(path("a.json"), encoding="utf-8"))["data"]["complete"], "a.json")
        with open(path("report.html"), encoding="utf-8") as page:
            check(page.read().count("<svg") > 4, "report.html")
        check(len(os.listdir(path("backups"))) == 1, "the backup before the rotation")
        for label in ("prod-01", "prod-01@v1", "prod-02", "prod-02@v1", "kek-label", "k"):
            shell(f"PIN=1234 shimctl --module $P11_MODULE --token test --pin-from env:PIN key show {label}")
        print(f"{way}: both scripts work as they stand")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


for each in ("direct", "proxied"):
    run(each)
