#!/usr/bin/python3
"""A pre-forking Python program: the parent logs in, its children sign with the sessions and keys they inherited.

This is what a module in the process's own memory allows, and what pre-forking servers rely on. Children also open sessions
of their own, and end in any order; the parent's session outlives them.
"""

import os
import subprocess
import sys

import PyKCS11

CHILDREN = 5


def sign(session, key, name):
    """Signs a message that names the signer, into a file."""
    message = f"signed by {name}\n".encode()
    signature = session.sign(key, message, PyKCS11.Mechanism(PyKCS11.CKM_SHA256_RSA_PKCS, None))
    with open(f"{name}.sig", "wb") as file:
        file.write(bytes(signature))
    with open(f"{name}.txt", "wb") as file:
        file.write(message)


def child(library, slot, session, key, name):
    """Signs on the inherited session, then on a session of its own."""
    sign(session, key, name)
    own = library.openSession(slot, PyKCS11.CKF_SERIAL_SESSION)
    keys = own.findObjects([(PyKCS11.CKA_CLASS, PyKCS11.CKO_PRIVATE_KEY)])
    sign(own, keys[0], name + "-own")
    own.closeSession()


def main():
    library = PyKCS11.PyKCS11Lib()
    library.load(os.environ["P11_MODULE"])
    slot = next(slot for slot in library.getSlotList(tokenPresent=True)
                if library.getTokenInfo(slot).label.strip("\0 ") == os.environ["P11_TOKEN"])
    session = library.openSession(slot, PyKCS11.CKF_SERIAL_SESSION | PyKCS11.CKF_RW_SESSION)
    session.login(os.environ["P11_PIN"])
    key, = session.findObjects([(PyKCS11.CKA_CLASS, PyKCS11.CKO_PRIVATE_KEY)])

    children = []
    for number in range(CHILDREN):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                child(library, slot, session, key, f"child{number}")
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    sign(session, key, "parent")
    ended = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    sign(session, key, "parent-afterwards")
    print(f"children ended with {ended}")

    for name in sorted(file[:-4] for file in os.listdir(".") if file.endswith(".sig")):
        verified = subprocess.run(["openssl", "dgst", "-sha256", "-keyform", "DER", "-verify", "rsa.der", "-signature",
                                   f"{name}.sig", f"{name}.txt"], capture_output=True, text=True, check=False, timeout=30)
        print(name, verified.stdout.strip())
    session.logout()
    session.closeSession()


if __name__ == "__main__":
    sys.exit(main())
