#!/bin/bash
# OpenDNSSEC's tools: ods-hsmutil makes DNSSEC keys and runs its test of the module (signatures, digests, random),
# ods-hsmspeed signs from several threads.
. "$(dirname "$0")/client.sh"
need ods-hsmutil ods-hsmspeed

cat >conf.xml <<XML
<?xml version="1.0" encoding="UTF-8"?>
<Configuration>
  <RepositoryList>
    <Repository name="tested">
      <Module>$P11_MODULE</Module>
      <TokenLabel>$P11_TOKEN</TokenLabel>
      <PIN>$P11_PIN</PIN>
    </Repository>
  </RepositoryList>
  <Common>
    <Logging><Syslog><Facility>local0</Facility></Syslog></Logging>
    <PolicyFile>$PWD/kasp.xml</PolicyFile>
    <ZoneListFile>$PWD/zonelist.xml</ZoneListFile>
  </Common>
</Configuration>
XML
stable() { sed -E '/^Signer thread/d; s/[0-9a-f]{32}/…/g; s/0x[0-9a-f]+/…/g; s/-?[0-9]{5,}/…/g; s/[0-9.]+ (sig|sec|s)/… \1/g'; }

echo "== ods-hsmutil"
ods-hsmutil -c conf.xml generate tested rsa 2048 | stable
ods-hsmutil -c conf.xml generate tested ecdsa 256 | stable
ods-hsmutil -c conf.xml list | stable | sort
echo "== ods-hsmutil test"
status=0
ods-hsmutil -c conf.xml test tested 2>&1 | stable || status=$?
echo "ended with $status"
echo "== ods-hsmspeed"
ods-hsmspeed -c conf.xml -r tested -i 50 -s 1024 -t 6 2>&1 | stable
