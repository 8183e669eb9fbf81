"""A simulated PKI: authorities, contracts, an OCSP responder, and a service that hands them out."""

from __future__ import annotations

import hashlib
import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


class Issuer:
    """A certificate with its key, which issues others. parent: who issued it, None for a root."""

    def __init__(
        self,
        name: str,
        parent: Issuer | None = None,
        *,
        authority: bool = True,
        usage: Any = None,
        responder: str = "",
        valid: tuple[timedelta, timedelta] = (-DAY, 30 * DAY),
    ) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = subject if parent is None else parent.certificate.subject
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + valid[0])
            .not_valid_after(now + valid[1])
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
        )
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if responder:
            access = x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(responder)
            )
            builder = builder.add_extension(x509.AuthorityInformationAccess([access]), False)
        signer = self.key if parent is None else parent.key
        self.certificate = builder.sign(signer, hashes.SHA256())

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def hash_data(self, certificate: x509.Certificate, responder: str) -> dict[str, str]:
        """OCPP's OCSPRequestDataType for a certificate that this one issued."""
        key = self.certificate.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return {
            "hashAlgorithm": "SHA256",
            "issuerNameHash": hashlib.sha256(certificate.issuer.public_bytes()).hexdigest(),
            "issuerKeyHash": hashlib.sha256(key).hexdigest(),
            "serialNumber": f"{certificate.serial_number:x}",
            "responderURL": responder,
        }

    def status(
        self,
        certificate: x509.Certificate,
        status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
        *,
        by: Issuer | None = None,
        at: datetime | None = None,
    ) -> bytes:
        """An OCSP response, DER. by: who signs it in this one's name."""
        signer, now = by or self, at or datetime.now(UTC)
        revoked = status is ocsp.OCSPCertStatus.REVOKED
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=certificate,
            issuer=self.certificate,
            algorithm=hashes.SHA256(),
            cert_status=status,
            this_update=now,
            next_update=now + DAY,
            revocation_time=now if revoked else None,
            revocation_reason=None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
        if by is not None:
            builder = builder.certificates([by.certificate])
        response = builder.sign(signer.key, hashes.SHA256())
        return response.public_bytes(serialization.Encoding.DER)


class Pki:
    """Context manager: a mobility operator's authorities, and both services on a free port.

    contracts: the service's answer, as the vehicle gets it. revoked: serial numbers.
    """

    def __init__(self) -> None:
        self.root = Issuer("MO Root")
        self.authority = Issuer("MO Sub-CA", self.root)
        self.signer = Issuer(
            "MO OCSP", self.authority, authority=False, usage=ExtendedKeyUsageOID.OCSP_SIGNING
        )
        self.contracts = [{"emaid": "DE8AAC12345678X", "certificateInstallationRes": "RVhJ"}]
        self.revoked: set[int] = set()
        self.issued: dict[int, x509.Certificate] = {}
        self.asked: list[tuple[str, str | None, bytes]] = []
        self.broken = False
        pki = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                pki.asked.append((self.path, self.headers.get("Authorization"), body))
                answer = b"nonsense" if pki.broken else pki.answer(self.path, body)
                self.send_response(200 if answer else 404)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *unused: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self.responder = f"{self.address}/ocsp"

    def contract(self, name: str = "DE8AAC12345678X", **how: Any) -> Issuer:
        leaf = Issuer(name, self.authority, authority=False, responder=self.responder, **how)
        self.issued[leaf.certificate.serial_number] = leaf.certificate
        return leaf

    def answer(self, path: str, body: bytes) -> bytes:
        if path == "/v1/ccp/signedContractData":
            if not json.loads(body)["certificateInstallationReq"]:
                return b""
            contents = [{"messageDef": each} for each in self.contracts]
            return json.dumps({"CCPResponse": {"emaidContent": contents}}).encode()
        serial = ocsp.load_der_ocsp_request(body).serial_number
        status = ocsp.OCSPCertStatus.GOOD
        if serial in self.revoked:
            status = ocsp.OCSPCertStatus.REVOKED
        return self.authority.status(self.issued[serial], status, by=self.signer)

    def __enter__(self) -> Pki:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
