#!/usr/bin/env python3
"""Writes golden.json: what this package reads, made by another implementation
(Debian: python3-cbor2, python3-cryptography). Keys come from fixed seeds."""

import base64, datetime, hashlib, json, pathlib, struct

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

sha = lambda b: hashlib.sha256(b).digest()
key = lambda name: Ed25519PrivateKey.from_private_bytes(sha(b"landbridge golden " + name))
raw = lambda k: k.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def base58(b):
    digits, n = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", int.from_bytes(b, "big")
    out = ""
    while n:
        n, d = divmod(n, 58)
        out = digits[d] + out
    return out


# libp2p: identity multihash (00 24) of the protobuf {type: Ed25519, data: key}
multihash = lambda member: b"\x00\x24\x08\x01\x12\x20" + member
peer_id = lambda member: "1" + base58(multihash(member))  # the leading 00 is a "1"

ca = key(b"ca")
nodes = [key(b"node %d" % i) for i in range(3)]
members = [raw(n) for n in nodes]
group = sha(raw(ca))
begin = datetime.datetime(2026, 5, 1, 12)


def certificate(subject, uri, public, end, is_ca):
    b = x509.CertificateBuilder()
    b = b.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
    b = b.issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Landbridge group lab")]))
    b = b.public_key(public).serial_number(4711).not_valid_before(begin).not_valid_after(end)
    b = b.add_extension(x509.BasicConstraints(ca=is_ca, path_length=0 if is_ca else None), True)
    b = b.add_extension(x509.KeyUsage(not is_ca, False, False, False, False, is_ca, False, False, False), True)
    b = b.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), False)
    if is_ca:
        b = b.add_extension(x509.SubjectKeyIdentifier(group[:20]), False)
    else:
        b = b.add_extension(x509.AuthorityKeyIdentifier(group[:20], None, None), False)
        b = b.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), False)
    return b.sign(ca, None).public_bytes(Encoding.DER)


uri = "landbridge://" + group.hex()
ca_der = certificate("Landbridge group lab", uri, ca.public_key(), begin + datetime.timedelta(days=10950), True)
member_der = certificate("two", uri + "/" + peer_id(members[1]), nodes[1].public_key(), begin + datetime.timedelta(days=90), False)

body = cbor2.dumps({
    0: 1, 1: group, 2: 4, 3: "lab", 4: bytes([10, 9, 0, 0, 16]), 5: "lab.internal", 6: 3600, 7: 604800, 8: 1376, 9: 6,
    10: members[0], 11: ca_der,
    12: [[members[0], "one", 1, 0], [members[1], "two", 2, 0], [members[2], "three", 3, 4]],
}, canonical=True)
descriptor = cbor2.dumps({1: body, 2: ca.sign(b"landbridge descriptor 1\0" + body)}, canonical=True)

secret = bytes(range(16))
addr4 = bytes([0x04, 192, 0, 2, 1, 0x91, 0x02]) + struct.pack(">H", 4242) + b"\xcd\x03"  # ip4, udp (273), quic-v1 (461)
addr6 = b"\x29" + bytes.fromhex("20010db8000000000000000000000001") + b"\x06" + struct.pack(">H", 4242)  # ip6, tcp
addr6 += b"\xa5\x03\x26" + multihash(members[1])  # p2p (421)
payload = group + members[0] + secret + struct.pack(">I", 1800000000)
payload += bytes([len(addr4)]) + addr4 + bytes([len(addr6)]) + addr6
payload += sha(b"landbridge invitation 1\0" + payload)[:4]
token = "lb1" + base64.b32encode(payload).decode().lower().rstrip("=")

domain, message = b"registry grant", b"block 7"
signature = nodes[1].sign(b"landbridge signature 1\0" + bytes([len(domain)]) + domain + group + message)

golden = {
    "group": group.hex(),
    "members": [m.hex() for m in members],
    "peer_ids": [peer_id(m) for m in members],
    "ca_seed": sha(b"landbridge golden ca").hex(),
    "descriptor": descriptor.hex(),
    "certificate": member_der.hex(),
    "token": token,
    "signature": signature.hex(),
    "join": cbor2.dumps({1: 1, 2: group, 3: secret, 4: "two"}, canonical=True).hex(),
    "renew": cbor2.dumps({1: 2, 2: group}, canonical=True).hex(),
    "reply": cbor2.dumps({1: descriptor, 2: member_der}, canonical=True).hex(),
    "refusal": cbor2.dumps({0: 1}, canonical=True).hex(),
}
pathlib.Path(__file__).with_name("golden.json").write_text(json.dumps(golden, indent=1) + "\n")
