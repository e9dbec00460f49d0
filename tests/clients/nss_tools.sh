#!/bin/bash
# NSS as a client (Firefox, Thunderbird and others load modules this way): modutil adds the module to a fresh profile,
# certutil makes keys and certificates in its token, and signs a request.
. "$(dirname "$0")/client.sh"
need modutil certutil openssl
[ "$P11_BACKEND" != nss ] || { echo "NSS is not its own client" >&2; exit 77; }

printf '%s\n' "$P11_PIN" >pin
printf 'NSS Certificate DB:\n%s:%s\n' "$P11_TOKEN" "$P11_PIN" >pins
head -c 100 /dev/urandom >noise
profile="sql:$PWD/profile"
mkdir profile
certutil -N -d "$profile" --empty-password

echo "== modutil"
modutil -force -dbdir "$profile" -add tested -libfile "$P11_MODULE" 2>&1 | grep -v '^$'
modutil -dbdir "$profile" -list tested 2>/dev/null | grep -E 'Token Name|Login Type|Token Model|Token Manufacturer'

echo "== certutil"
certutil -S -d "$profile" -h "$P11_TOKEN" -f pin -z noise -n rsa -s CN=rsa -x -t u,u,u -k rsa -g 2048 >&2
certutil -S -d "$profile" -h "$P11_TOKEN" -f pin -z noise -n ec -s CN=ec -x -t u,u,u -k ec -q nistp256 >&2
certutil -L -d "$profile" -h "$P11_TOKEN" -f pin 2>/dev/null | grep -E "^$P11_TOKEN:" | sort
certutil -K -d "$profile" -h "$P11_TOKEN" -f pin | sed -E 's/^<.*> *//; s/[0-9a-f]{40}/…/; s/in slot.*//' | sort
for key in rsa ec; do
  certutil -L -d "$profile" -h "$P11_TOKEN" -f pin -n "$P11_TOKEN:$key" -a >$key.crt
  openssl verify -CAfile $key.crt $key.crt
done
certutil -R -d "$profile" -h "$P11_TOKEN" -f pin -k rsa -g 2048 -z noise -s CN=again -a -o again.csr >&2
openssl req -in again.csr -noout -verify 2>&1

echo "== removed"
certutil -F -d "$profile" -h "$P11_TOKEN" -f pin -n "$P11_TOKEN:ec" >&2
certutil -K -d "$profile" -h "$P11_TOKEN" -f pin | grep -c rsa
modutil -force -dbdir "$profile" -delete tested 2>&1 | grep -v '^$'
