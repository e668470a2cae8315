#!/bin/bash
# Makes the certificates in this folder anew, as an operator makes them with openssl (3.0): `./make.sh`.
# The keys of the authorities are thrown away. The servers have one key, and one of another kind.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
rm -f ./*.pem ./*.key
rsa() { openssl genrsa -out "$1.key" 2048 2>/dev/null; }
cat > empty.cnf <<'C'
[req]
distinguished_name = dn
[dn]
C
cat > v3.ext <<'C'
basicConstraints=CA:FALSE
subjectAltName=DNS:other.example
C
export OPENSSL_CONF=$PWD/empty.cnf
far="-days 36500"
# an authority of version 3, and one of version 1
rsa ca3; openssl req -x509 -new -key ca3.key $far -sha256 -subj "/O=Test Bed/CN=CA 3" -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -addext subjectKeyIdentifier=hash -out ca3.pem
rsa ca1; openssl req -new -key ca1.key -subj "/O=Test Bed/CN=CA 1" | openssl x509 -req -signkey ca1.key $far -sha256 -out ca1.pem 2>/dev/null
# an authority below ca3
rsa sub; openssl req -new -key sub.key -subj "/O=Test Bed/CN=Sub" > sub.csr; printf 'basicConstraints=critical,CA:TRUE\n' > sub.ext
openssl x509 -req -in sub.csr -CA ca3.pem -CAkey ca3.key -CAcreateserial $far -sha256 -extfile sub.ext -out sub.pem 2>/dev/null
# something that signs and is no authority
rsa leafca; openssl req -x509 -new -key leafca.key $far -sha256 -subj "/O=Test Bed/CN=No CA" -addext basicConstraints=critical,CA:FALSE -out leafca.pem
# the server
rsa server
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out server-ec.key 2>/dev/null
leaf() { # NAME CA [more]
    local n=$1 ca=$2; shift 2
    openssl req -new -key "${KEY:-server}.key" -subj "/O=Test Bed/CN=host.example" > "$n.csr"
    openssl x509 -req -in "$n.csr" -CA "$ca.pem" -CAkey "$ca.key" -CAcreateserial -sha256 "$@" -out "$n.pem" 2>/dev/null
}
leaf v1 ca3 $far
leaf v1-by-v1 ca1 $far
leaf v3-by-v1 ca1 $far -extfile v3.ext
leaf v1-by-sub sub $far
leaf v1-by-no-ca leafca $far
KEY=server-ec leaf v1-ec ca3 $far
leaf v1-sha1 ca3 $far -sha1
leaf authority ca3 $far -extfile sub.ext
# expired, and not valid yet
mkdir -p demo; : > index.txt; echo 01 > serial; echo 01 > number
cat > ca.cnf <<C
[ca]
default_ca=d
[d]
unique_subject=no
database=$PWD/index.txt
serial=$PWD/serial
new_certs_dir=$PWD/demo
default_md=sha256
policy=p
crl_extensions=list
crlnumber=$PWD/number
[list]
authorityKeyIdentifier=keyid:always
[p]
organizationName=optional
commonName=optional
C
openssl req -new -key server.key -subj "/O=Test Bed/CN=host.example" > v1-expired.csr
openssl ca -batch -notext -config ca.cnf -in v1-expired.csr -cert ca3.pem -keyfile ca3.key -startdate 20010101000000Z -enddate 20020101000000Z -out v1-expired.pem 2>/dev/null
openssl req -new -key server.key -subj "/O=Test Bed/CN=early.example" > v1-early.csr
openssl ca -batch -notext -config ca.cnf -in v1-early.csr -cert ca3.pem -keyfile ca3.key -startdate 20980101000000Z -enddate 20990101000000Z -out v1-early.pem 2>/dev/null
openssl req -new -key server.key -subj "/O=Test Bed/CN=host.example" > authority-expired.csr
openssl ca -batch -notext -config ca.cnf -in authority-expired.csr -cert ca3.pem -keyfile ca3.key -extfile sub.ext -startdate 20010101000000Z -enddate 20020101000000Z -out authority-expired.pem 2>/dev/null
# self-signed: version 1, version 3 as an authority, version 3 for clients only
openssl req -new -key server.key -subj "/O=Test Bed/CN=host.example" | openssl x509 -req -signkey server.key $far -sha256 -out self1.pem 2>/dev/null
openssl req -x509 -new -key server.key $far -sha256 -subj "/O=Test Bed/CN=host.example" -addext basicConstraints=critical,CA:TRUE -out self3.pem
openssl req -x509 -new -key server.key $far -sha256 -subj "/O=Test Bed/CN=host.example" -addext basicConstraints=critical,CA:TRUE -addext extendedKeyUsage=clientAuth -out self-client.pem
# a list that revokes v1
leaf revoked ca3 $far
serial=$(openssl x509 -in revoked.pem -noout -serial | cut -d= -f2)
printf 'R\t360101000000Z\t260101000000Z\t%s\tunknown\t/O=Test Bed/CN=host.example\n' "$serial" > index.txt
openssl ca -gencrl -config ca.cnf -cert ca3.pem -keyfile ca3.key -crldays 32000 -out ca3.crl.pem 2>/dev/null
rm -rf ./*.csr ./*.srl ./*.ext ./*.cnf index* serial* number* demo ca?.key sub.key leafca.key
