#!/bin/bash
# OpenSSH: ssh-keygen -D lists the token's keys; ssh-agent (through ssh-pkcs11-helper) signs with them, and ssh-keygen
# verifies with nothing but the public key; an SSH certificate authority keeps its key in the token.
. "$(dirname "$0")/client.sh"
need ssh-keygen ssh-agent ssh-add

make_key rsa 01 rsa:2048
make_key ec 02 EC:prime256v1
make_key ec3 03 EC:secp384r1

echo "== list"
ssh-keygen -D "$P11_MODULE" 2>/dev/null | sort -k 3 >keys
awk '{ print $1, $3 }' keys
for key in rsa ec ec3; do
  grep " $key\$" keys >$key.pub
done

printf '#!/bin/sh\necho %s\n' "$P11_PIN" >askpass
chmod 700 askpass
export SSH_ASKPASS="$PWD/askpass" SSH_ASKPASS_REQUIRE=force

export SSH_AUTH_SOCK="$PWD/agent"
ssh-agent -D -a "$SSH_AUTH_SOCK" -P "$(realpath "$P11_MODULE")" >/dev/null &
await test -S "$SSH_AUTH_SOCK"

echo "== agent"
ssh-add -s "$(realpath "$P11_MODULE")" >&2
ssh-add -L | awk '{ print $1 }' | sort
head -c 4000 /dev/urandom >data
for key in rsa ec ec3; do
  ssh-add -T $key.pub && echo "$key: the agent signs"
  ssh-keygen -Y sign -f $key.pub -n file <data >$key.sig 2>/dev/null
  echo "me namespaces=\"file\" $(cut -d' ' -f 1,2 $key.pub)" >allowed
  ssh-keygen -Y verify -f allowed -I me -n file -s $key.sig <data | sed 's/SHA256:.*/SHA256:…/'
  ssh-keygen -Y verify -f allowed -I me -n file -s $key.sig </dev/null 2>&1 | grep -o 'incorrect signature' || true
done

echo "== certificate authority"
ssh-keygen -q -t ed25519 -N '' -f user
ssh-keygen -q -U -s ec.pub -I alice -n alice -V +1d user.pub 2>/dev/null
ssh-keygen -L -f user-cert.pub | grep -oE 'Key ID: .*|Signing CA: [A-Z]+'
ssh-keygen -q -D "$P11_MODULE" -s rsa.pub -I bob -n bob -V +1d user.pub 2>/dev/null
ssh-keygen -L -f user-cert.pub | grep -oE 'Key ID: .*|Signing CA: [A-Z]+'

echo "== removed from the agent"
ssh-add -e "$(realpath "$P11_MODULE")" >&2
ssh-add -L || true
