#!/usr/bin/env python3
"""Looks at a report of shimctl bench in headless Chromium, without a network: it must draw its plots.

The screenshots stay in the build's tests/ folder: bench_report.png, bench_compare.png.
"""
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

BUILD = os.environ["P11TEST_BUILD_DIR"]
MODULE = os.environ.get("SOFTHSM2_MODULE", "/usr/lib/softhsm/libsofthsm2.so")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

if BROWSER is None:
    print("skipped: there is no chromium here (apt-get install chromium)")
    sys.exit(77)
if not os.path.exists(MODULE) or not shutil.which("softhsm2-util"):
    print("skipped: there is no SoftHSM here")
    sys.exit(77)


def browse(folder, page, *words):
    done = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                           "--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1100,3000",
                           f"--user-data-dir={folder}/profile", *words, f"file://{page}"],
                          env=dict(os.environ, HOME=folder), cwd=folder, timeout=100, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f"chromium ends with {done.returncode}: {done.stderr.decode()[-500:]}")
    return done.stdout.decode()


def colours(file):
    """How many different bytes the picture has: a page that shows nothing has few."""
    with open(file, "rb") as stream:
        data = stream.read()
    assert data[:8] == b"\x89PNG\r\n\x1a\n", "no PNG"
    at, pixels = 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IDAT":
            pixels += data[at + 8:at + 8 + length]
        at += 12 + length
    return len(set(zlib.decompress(pixels)))


def main():
    folder = tempfile.mkdtemp(prefix="report-page.")
    try:
        os.mkdir(f"{folder}/tokens")
        with open(f"{folder}/softhsm2.conf", "w", encoding="utf-8") as config:
            config.write(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
        environment = dict(os.environ, SOFTHSM2_CONF=f"{folder}/softhsm2.conf", PIN="1234")
        subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "test", "--pin", "1234", "--so-pin",
                        "5678"], env=environment, check=True, stdout=subprocess.DEVNULL)
        shimctl = f"{BUILD}/bin/shimctl"
        for name in ("a", "b"):
            subprocess.run([shimctl, "--module", MODULE, "--token", "test", "--pin-from", "env:PIN", "bench", "run",
                            "--only", "p256-sign,sha256", "--rate", "2000", "--duration", "1s", "--warmup", "0s",
                            "--save", f"{folder}/{name}.json", "--report", f"{folder}/{name}.html"],
                           env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run([shimctl, "bench", "report", f"{folder}/a.json", f"{folder}/b.json", "--out",
                        f"{folder}/compare.html"], env=environment, check=True)
        for page, picture, plots in (("a.html", "bench_report.png", 5), ("compare.html", "bench_compare.png", 11)):
            document = browse(folder, f"{folder}/{page}", "--dump-dom")
            for part in ("Throughput", 'class="histogram"', 'class="over-time"', "Environment",
                         *(['class="comparison"'] if page == "compare.html" else [])):
                if part not in document:
                    sys.exit(f"{page} lacks {part}")
            if document.count("<svg") < plots or "NaN" in document or "inf" in document.split("</style>")[1].split(" "):
                sys.exit(f"{page} has {document.count('<svg')} plots of {plots}")
            shot = os.path.join(BUILD, "tests", picture)
            browse(folder, f"{folder}/{page}", f"--screenshot={shot}")
            if colours(shot) < 20:
                sys.exit(f"{shot} shows nothing")
            print(f"{page}: {document.count('<svg')} plots, {shot}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()
