"""Certificates for the tests: an authority, what it vouches for, and what it shouldn't."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


class Authority:
    """A directory with `ca.pem`, and in it what this authority vouches for."""

    def __init__(self, directory):
        directory.mkdir()
        self.directory = directory
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority {directory.name}")])
        self._key = ec.generate_private_key(ec.SECP256R1())
        own = self._builder(self._name, self._key.public_key(), NOW - DAY, NOW + DAY)
        own = own.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.ca = self._write("ca", own.sign(self._key, hashes.SHA256()), self._key)

    def server(self, file, hosts=("localhost", "127.0.0.1"), begin=NOW - DAY, end=NOW + DAY):
        """A server's certificate: the path of FILE.pem, with FILE.key beside it."""
        names = []
        for host in hosts:
            try:
                names.append(x509.IPAddress(ipaddress.ip_address(host)))
            except ValueError:
                names.append(x509.DNSName(host))
        return self._make(file, "the broker", ExtendedKeyUsageOID.SERVER_AUTH, begin, end,
                          x509.SubjectAlternativeName(names))

    def client(self, file, common_name, begin=NOW - DAY, end=NOW + DAY):
        """A client's certificate, the same way."""
        return self._make(file, common_name, ExtendedKeyUsageOID.CLIENT_AUTH, begin, end)

    def _make(self, file, common_name, usage, begin, end, *extensions):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = self._builder(subject, key.public_key(), begin, end)
        for extension in (x509.ExtendedKeyUsage([usage]), *extensions):
            builder = builder.add_extension(extension, critical=False)
        return self._write(file, builder.sign(self._key, hashes.SHA256()), key)

    def _builder(self, subject, key, begin, end):
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
        authority = self._key.public_key()
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        return builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority), critical=False)

    def _write(self, file, certificate, key):
        path = self.directory / f"{file}.pem"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_of(path).write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return path


def key_of(certificate):
    """Where the key of a certificate is."""
    return certificate.with_suffix(".key")
