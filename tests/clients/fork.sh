#!/bin/bash
# A pre-forking Python program (fork.py).
. "$(dirname "$0")/client.sh"
/usr/bin/python3 -c 'import PyKCS11' 2>/dev/null || { echo "PyKCS11 is not installed" >&2; exit 77; }
make_key rsa 01 rsa:2048
pkcs11-tool --module "$P11_MODULE" --token-label "$P11_TOKEN" --read-object --type pubkey --id 01 -o rsa.der >&2
/usr/bin/python3 "$(dirname "$0")/fork.py"
