#!/usr/bin/python3
"""PyKCS11: many threads, each with sessions of its own, sign at once; openssl verifies every signature.

With 64 sessions open and one login for all of them, each thread signs with an RSA and an EC key, encrypts and
decrypts with an AES session key that only it knows, and hashes. One thread at a time verifies.
"""

import hashlib
import os
import subprocess
import sys
import threading

try:
    import PyKCS11
    from PyKCS11 import CKA_CLASS, CKA_ID, CKA_LABEL, CKM_ECDSA
except ImportError:
    print("PyKCS11 is not installed", file=sys.stderr)
    sys.exit(77)

THREADS = 8
ROUNDS = 12
IDLE_SESSIONS = 64

RSA_ID, EC_ID = (0x01,), (0x02,)


def find_slot(library):
    """The slot of the test's token."""
    label = os.environ["P11_TOKEN"]
    for slot in library.getSlotList(tokenPresent=True):
        if library.getTokenInfo(slot).label.strip("\0 ") == label:
            return slot
    raise SystemExit(f"no token {label}")


def make_keys(session):
    """An RSA-2048 and a P-256 key pair on the token; writes their public keys for openssl."""
    ckm_ec = PyKCS11.Mechanism(PyKCS11.CKM_EC_KEY_PAIR_GEN, None)
    common = [(PyKCS11.CKA_TOKEN, PyKCS11.CK_TRUE)]
    session.generateKeyPair(
        common + [(PyKCS11.CKA_MODULUS_BITS, 2048), (PyKCS11.CKA_PUBLIC_EXPONENT, (1, 0, 1)),
                  (PyKCS11.CKA_VERIFY, PyKCS11.CK_TRUE), (CKA_ID, RSA_ID)],
        common + [(PyKCS11.CKA_PRIVATE, PyKCS11.CK_TRUE), (PyKCS11.CKA_SENSITIVE, PyKCS11.CK_TRUE),
                  (PyKCS11.CKA_SIGN, PyKCS11.CK_TRUE), (CKA_ID, RSA_ID)])
    session.generateKeyPair(
        common + [(PyKCS11.CKA_EC_PARAMS, bytes.fromhex("06082a8648ce3d030107")),
                  (PyKCS11.CKA_VERIFY, PyKCS11.CK_TRUE), (CKA_ID, EC_ID)],
        common + [(PyKCS11.CKA_PRIVATE, PyKCS11.CK_TRUE), (PyKCS11.CKA_SENSITIVE, PyKCS11.CK_TRUE),
                  (PyKCS11.CKA_SIGN, PyKCS11.CK_TRUE), (CKA_ID, EC_ID)],
        ckm_ec)


def der(tag, content):
    """One DER element."""
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content


def der_integer(value):
    """A DER INTEGER from big-endian bytes."""
    number = int.from_bytes(value, "big")
    return der(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def export_public_keys(session):
    """Reads both public keys from the token and writes them as DER SubjectPublicKeyInfo."""
    rsa, = session.findObjects([(CKA_CLASS, PyKCS11.CKO_PUBLIC_KEY), (CKA_ID, RSA_ID)])
    ec, = session.findObjects([(CKA_CLASS, PyKCS11.CKO_PUBLIC_KEY), (CKA_ID, EC_ID)])
    modulus, exponent = session.getAttributeValue(rsa, [PyKCS11.CKA_MODULUS, PyKCS11.CKA_PUBLIC_EXPONENT])
    parameters, point = session.getAttributeValue(ec, [PyKCS11.CKA_EC_PARAMS, PyKCS11.CKA_EC_POINT])
    bits = der(0x30, der_integer(bytes(modulus)) + der_integer(bytes(exponent)))
    algorithm = der(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    with open("rsa.der", "wb") as file:
        file.write(der(0x30, algorithm + der(0x03, b"\0" + bits)))
    algorithm = der(0x30, bytes.fromhex("06072a8648ce3d0201") + bytes(parameters))
    with open("ec.der", "wb") as file:
        file.write(der(0x30, algorithm + der(0x03, b"\0" + bytes(point)[2:])))


def openssl_verifies(key, signature, data):
    """What openssl says of a signature over SHA-256 of data."""
    with open("data", "wb") as file:
        file.write(data)
    with open("signature", "wb") as file:
        file.write(signature)
    command = ["openssl", "dgst", "-sha256", "-keyform", "DER", "-verify", key, "-signature", "signature", "data"]
    return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0


class Worker(threading.Thread):
    """One thread with a session of its own; collects (key file, signature, data)."""

    def __init__(self, library, slot, start_line):
        super().__init__()
        self.library = library
        self.slot = slot
        self.start_line = start_line
        self.signatures = []
        self.error = None

    def run(self):
        try:
            self.start_line.wait(timeout=60)
            self.work()
        except Exception as error:  # reported by the main thread
            self.error = error

    def work(self):
        session = self.library.openSession(self.slot, PyKCS11.CKF_SERIAL_SESSION | PyKCS11.CKF_RW_SESSION)
        rsa, = session.findObjects([(CKA_CLASS, PyKCS11.CKO_PRIVATE_KEY), (CKA_ID, RSA_ID)])
        ec, = session.findObjects([(CKA_CLASS, PyKCS11.CKO_PRIVATE_KEY), (CKA_ID, EC_ID)])
        label = os.urandom(8).hex()
        aes = session.generateKey([
            (CKA_CLASS, PyKCS11.CKO_SECRET_KEY), (PyKCS11.CKA_KEY_TYPE, PyKCS11.CKK_AES),
            (PyKCS11.CKA_VALUE_LEN, 32), (PyKCS11.CKA_TOKEN, PyKCS11.CK_FALSE), (CKA_LABEL, label),
            (PyKCS11.CKA_ENCRYPT, PyKCS11.CK_TRUE), (PyKCS11.CKA_DECRYPT, PyKCS11.CK_TRUE)],
            PyKCS11.Mechanism(PyKCS11.CKM_AES_KEY_GEN, None))
        for _ in range(ROUNDS):
            data = os.urandom(1 + os.urandom(1)[0] * 16)
            digest = hashlib.sha256(data).digest()
            if bytes(session.digest(data, PyKCS11.Mechanism(PyKCS11.CKM_SHA256, None))) != digest:
                raise AssertionError("C_Digest differs from hashlib")
            signature = bytes(session.sign(rsa, data, PyKCS11.Mechanism(PyKCS11.CKM_SHA256_RSA_PKCS, None)))
            self.signatures.append(("rsa.der", signature, data))
            raw = bytes(session.sign(ec, digest, PyKCS11.Mechanism(CKM_ECDSA, None)))
            pair = der_integer(raw[:32]) + der_integer(raw[32:])
            self.signatures.append(("ec.der", der(0x30, pair), data))
            cbc = PyKCS11.Mechanism(PyKCS11.CKM_AES_CBC_PAD, os.urandom(16))
            if bytes(session.decrypt(aes, session.encrypt(aes, data, cbc), cbc)) != data:
                raise AssertionError("AES does not round-trip")
        own = session.findObjects([(CKA_LABEL, label)])
        if len(own) != 1:
            raise AssertionError("a session key is missing or not mine alone")
        session.destroyObject(aes)
        session.closeSession()


def main():
    library = PyKCS11.PyKCS11Lib()
    library.load(os.environ["P11_MODULE"])
    slot = find_slot(library)
    session = library.openSession(slot, PyKCS11.CKF_SERIAL_SESSION | PyKCS11.CKF_RW_SESSION)
    session.login(os.environ["P11_PIN"])
    make_keys(session)
    export_public_keys(session)
    idle = [library.openSession(slot, PyKCS11.CKF_SERIAL_SESSION) for _ in range(IDLE_SESSIONS)]

    start_line = threading.Barrier(THREADS)
    workers = [Worker(library, slot, start_line) for _ in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        if worker.error:
            raise worker.error

    signatures = [signature for worker in workers for signature in worker.signatures]
    good = sum(openssl_verifies(*signature) for signature in signatures)
    print(f"{THREADS} threads made {len(signatures)} signatures, openssl accepts {good}")
    key, signature, data = signatures[0]
    print(f"openssl accepts a changed message: {openssl_verifies(key, signature, data + b'!')}")
    for open_session in idle:
        open_session.closeSession()
    session.logout()
    session.closeSession()
    return 0 if good == len(signatures) == 2 * THREADS * ROUNDS else 1


if __name__ == "__main__":
    sys.exit(main())
