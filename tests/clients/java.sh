#!/bin/bash
# Java's SunPKCS11 provider: keytool makes keys and certificates in the token and lists them, jarsigner signs a JAR, and a
# program signs from many threads; openssl and the JDK's own providers verify.
. "$(dirname "$0")/client.sh"
need java keytool jarsigner
here=$(dirname "$0")

slot=$(pkcs11-tool --module "$P11_MODULE" --list-slots | grep -B 1 "token label *: $P11_TOKEN" |
  sed -nE 's/^Slot [0-9]+ \((0x[0-9a-f]+)\).*/\1/p')
cat >sunpkcs11.cfg <<CFG
name = Test
library = $P11_MODULE
slot = $((slot))
CFG
store=(-providerClass sun.security.pkcs11.SunPKCS11 -providerArg "$PWD/sunpkcs11.cfg" -keystore NONE -storetype PKCS11
  -storepass "$P11_PIN")

echo "== keytool"
keytool -genkeypair -alias rsa -keyalg RSA -keysize 2048 -dname CN=rsa -ext KU=digitalSignature \
  -ext EKU=codeSigning "${store[@]}" >&2
keytool -genkeypair -alias ec -keyalg EC -groupname secp256r1 -dname CN=ec "${store[@]}" >&2
keytool -list "${store[@]}" 2>/dev/null | sed -nE 's/^(ec|rsa), (.*)/\1: \2/p' | sort
for key in rsa ec; do
  keytool -exportcert -rfc -alias $key -file $key.crt "${store[@]}" >&2
  openssl verify -CAfile $key.crt $key.crt
  keytool -certreq -alias $key -file $key.csr "${store[@]}" >&2
  openssl req -in $key.csr -noout -verify 2>&1
done

echo "== jarsigner"
echo 'hello' >hello.txt
jar --create --file hello.jar hello.txt >&2
jarsigner "${store[@]}" hello.jar rsa >&2
keytool -importcert -noprompt -alias rsa -file rsa.crt -keystore trusted.p12 -storepass trusted >&2
jarsigner -verify -strict -keystore trusted.p12 -storepass trusted hello.jar 2>/dev/null | grep -E '^jar '

echo "== a program"
java "$here/SignFromThreads.java" sunpkcs11.cfg "$P11_PIN"

echo "== delete"
keytool -delete -alias ec "${store[@]}" >&2
keytool -list "${store[@]}" 2>/dev/null | grep -c PrivateKeyEntry
