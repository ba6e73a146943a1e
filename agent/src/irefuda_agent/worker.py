"""The process that talks to a PKCS#11 module: `python -m irefuda_agent.worker`.

One JSON line on stdin is one request, one JSON line on stdout its answer. A vendor's module may crash or hang here without
taking the companion program along, and the PIN, which comes by stdin only, leaves memory with this process.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pkcs11
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pkcs11 import Attribute, Mechanism, ObjectClass, SlotFlag, TokenFlag
from pkcs11 import exceptions as p11

from irefuda_agent.memory import end_with_the_program, keep_out_of_core_files
from irefuda_agent.readers import connected_readers
from irefuda_agent.version import APP_VERSION
from irefuda_core import jws, possession
from irefuda_core.certificate import UnreadableCertificate, fingerprint_of, load

# PKCS#1 v1.5 (RFC 8017, 9.2): the DigestInfo prefix of SHA-256, for modules that only do the bare RSA operation.
_SHA256_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
_GONE = (p11.DeviceRemoved, p11.SessionHandleInvalid, p11.SessionClosed, p11.TokenNotPresent, p11.ObjectHandleInvalid)

_LOOKS_AFTER_FAILURE, _PAUSE_AFTER_FAILURE = 10, 0.1


class Fault(Exception):
    """Something stands in the way; `name` is from the error contract."""

    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        self.names = names


def _open_module(path: str) -> Any:
    if not Path(path).is_file():
        raise Fault("module_missing")
    try:
        return pkcs11.lib(path)
    except RuntimeError:
        # No PKCS#11 library at all, or one for another kind of machine (32 bits).
        raise Fault("module_unusable") from None
    except p11.PKCS11Error:
        raise Fault("module_failed") from None


def _filled_slots(library: Any) -> list[Any]:
    """Return the slots that hold a card, also one that the module does not know (OpenSC leaves it out of its own list)."""
    return [slot for slot in library.get_slots() if SlotFlag.TOKEN_PRESENT in slot.flags]


class Reading:
    """What the readers of one module hold; certificates are read once per inserted card."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], list[bytes]] = {}

    def cards(self, path: str) -> list[dict[str, Any]]:
        """Return every card that is inserted now, without a PIN."""
        library = _open_module(path)
        try:
            found = [card for slot in _filled_slots(library) if (card := self._card(slot))]
        except p11.PKCS11Error:
            # SoftHSM and some vendors' modules stay broken after a card has gone, until they are initialised again.
            library.reinitialize()
            self._known.clear()
            found = [card for slot in _filled_slots(library) if (card := self._card(slot))]
        present = {(card["slot_id"], card["token_serial"]) for card in found}
        self._known = {key: value for key, value in self._known.items() if key in present}
        return found

    def _card(self, slot: Any) -> dict[str, Any] | None:
        card: dict[str, Any] = {"slot_id": slot.slot_id, "reader": slot.slot_description.strip(), "token_serial": ""}
        try:
            token = slot.get_token()
            if TokenFlag.TOKEN_INITIALIZED not in token.flags:
                return None
            card |= {"token_serial": token.serial.hex(), "label": token.label.strip(), **_tries(token)}
            key = (slot.slot_id, card["token_serial"])
            if key not in self._known:
                self._known[key] = _certificates_without_pin(token)
        except p11.TokenNotRecognised:
            return card | {"fault": "not_recognised", "certificates": [], **_NO_TRIES_KNOWN}
        except p11.TokenNotPresent:
            return None
        return card | {"certificates": [base64.b64encode(der).decode() for der in self._known[key]]}


_NO_TRIES_KNOWN = {"few_tries": False, "final_try": False, "locked": False}


def _tries(token: Any) -> dict[str, bool]:
    return {
        "few_tries": TokenFlag.USER_PIN_COUNT_LOW in token.flags,
        "final_try": TokenFlag.USER_PIN_FINAL_TRY in token.flags,
        "locked": TokenFlag.USER_PIN_LOCKED in token.flags,
    }


def _certificates_without_pin(token: Any) -> list[bytes]:
    session = token.open()
    try:
        return [der for _, der in _usable_certificates(session)]
    finally:
        _close(session)


def _usable_certificates(session: Any) -> list[tuple[bytes, bytes]]:
    """Return (CKA_ID, DER) of the certificates that may sign: no CA's, and not without digitalSignature."""
    found = []
    for item in session.get_objects({Attribute.CLASS: ObjectClass.CERTIFICATE}):
        der = bytes(item[Attribute.VALUE])
        try:
            certificate = load(der)
        except UnreadableCertificate:
            continue
        if _may_sign(certificate):
            found.append((bytes(item[Attribute.ID]), der))
    return found


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        if certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
    except x509.ExtensionNotFound:
        pass
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    except x509.ExtensionNotFound:
        return True


def _close(session: Any) -> None:
    try:
        session.close()
    except p11.PKCS11Error:
        return  # the card has been pulled out: the session went with it


def use_card(request: dict[str, Any]) -> dict[str, Any]:
    """Log in with the PIN, once, and sign what is asked for; never tries a PIN a second time."""
    slot, session = _opened(request)
    try:
        with _faults_named(request):
            return _sign_with(session, slot, request)
    finally:
        _close(session)


def _opened(request: dict[str, Any]) -> tuple[Any, Any]:
    """Return the slot of the chosen card and a session that is logged in by one try of the PIN."""
    slot, token = _chosen(request)
    flags = _tries(token)
    if flags["locked"]:
        raise Fault("pin_locked")
    # The PIN of another card is no reason to risk a try that is one of the last, whatever was confirmed.
    kept = request.get("kept_pin", False)
    if flags["final_try"] and (kept or not request["last_try_confirmed"]):
        raise Fault("pin_final_try")
    if flags["few_tries"] and kept:
        raise Fault("pin_few_tries")
    return slot, _log_in(slot, token, request)


@contextlib.contextmanager
def _faults_named(request: dict[str, Any]) -> Iterator[None]:
    """Give whatever the module raises its name from the error contract."""
    try:
        yield
    except _GONE:
        raise Fault("card_removed") from None
    except p11.PKCS11Error:
        raise Fault("card_removed" if _is_gone(request) else "module_failed") from None


class Holding:
    """A card that is logged in, in this process and until it ends; it signs one document."""

    def __init__(self) -> None:
        self._open: tuple[Any, Any, Any, bytes, dict[str, Any]] | None = None

    def log_in(self, request: dict[str, Any]) -> dict[str, Any]:
        """Log in with the PIN, once; answer with the certificate that would sign, or with those to choose from."""
        slot, session = _opened(request)
        with _faults_named(request):
            usable = _usable_for(session, request)
            if len(usable) > 1:
                return {"choose": [base64.b64encode(der).decode() for _, der in usable]}
            key, der = _key_of(session, usable[0], request)
            asks_each_time = _asks_the_pin_each_time(key)
        self._open = (session, slot, key, der, {name: value for name, value in request.items() if name != "pin"})
        return {"certificate": base64.b64encode(der).decode(), "asks_each_time": asks_each_time}

    def sign(self, request: dict[str, Any]) -> dict[str, Any]:
        """Sign the document with the card that was logged in; `pin` only for a key that asks it each time."""
        if self._open is None:
            raise Fault("card_removed")
        (_, slot, key, der, chosen), self._open = self._open, None
        with _faults_named(chosen):
            return {"jws": _signed(key, slot, der, request, request.get("pin"))}


def _chosen(request: dict[str, Any]) -> tuple[Any, Any]:
    """Return slot and token of the chosen card; the slot number alone proves nothing, another card may be in it."""
    library = _open_module(request["module"])
    slot = next((s for s in _filled_slots(library) if s.slot_id == request["slot_id"]), None)
    if slot is None:
        raise Fault("card_removed")
    try:
        token = slot.get_token()
        if token.serial.hex() != request["token_serial"]:
            raise Fault("card_swapped")
        public = [fingerprint_of(der) for der in _certificates_without_pin(token)]
    except p11.TokenNotRecognised:
        raise Fault("not_recognised") from None
    except _GONE:
        raise Fault("card_removed") from None
    if request["fingerprint"] and public and request["fingerprint"] not in public:
        raise Fault("card_swapped")
    return slot, token


def _log_in(slot: Any, token: Any, request: dict[str, Any]) -> Any:
    try:
        return token.open(user_pin=request["pin"])
    except (p11.PinIncorrect, p11.PinInvalid):
        flags = _tries(slot.get_token())
        if flags["locked"]:
            raise Fault("pin_locked") from None
        if flags["final_try"]:
            raise Fault("pin_wrong", "pin_final_try") from None
        raise Fault(*(("pin_wrong", "pin_few_tries") if flags["few_tries"] else ("pin_wrong",))) from None
    except p11.PinLenRange:
        raise Fault("pin_length") from None
    except p11.PinLocked:
        raise Fault("pin_locked") from None
    except _GONE:
        raise Fault("card_removed") from None
    except p11.PKCS11Error:
        raise Fault("card_removed" if _is_gone(request) else "module_failed") from None


def _is_gone(request: dict[str, Any]) -> bool:
    """Tell whether the card has left; a reader notices that only some tenths of a second after the failure."""
    library = _open_module(request["module"])
    for _ in range(_LOOKS_AFTER_FAILURE):
        try:
            # The list first: OpenSC looks at the reader anew only for that.
            present = [slot for slot in _filled_slots(library) if slot.slot_id == request["slot_id"]]
            if not present or present[0].get_token().serial.hex() != request["token_serial"]:
                return True
        except p11.PKCS11Error:
            return True
        time.sleep(_PAUSE_AFTER_FAILURE)
    return False


def _sign_with(session: Any, slot: Any, request: dict[str, Any]) -> dict[str, Any]:
    usable = _usable_for(session, request)
    if len(usable) > 1:
        return {"choose": [base64.b64encode(der).decode() for _, der in usable]}
    key, der = _key_of(session, usable[0], request)
    pin = request["pin"] if _asks_the_pin_each_time(key) else None
    if request["kind"] == "authenticate":
        algorithm = _algorithm_of(der)
        message = possession.message_to_sign(origin=request["origin"], nonce=request["nonce"], algorithm=algorithm)
        signature = _signature(key, slot, algorithm, message, pin)
        return {
            "token": {
                "unverifiedCertificate": base64.b64encode(der).decode(),
                "algorithm": algorithm,
                "signature": base64.b64encode(signature).decode(),
                "format": "web-eid:1.0",
                "appVersion": APP_VERSION,
            }
        }
    return {"jws": _signed(key, slot, der, request, pin)}


def _usable_for(session: Any, request: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    """Return (CKA_ID, DER) of the chosen certificate, or of all that may sign when none could be chosen before the PIN."""
    usable = _usable_certificates(session)
    if not usable:
        raise Fault("no_suitable_certificate")
    if request["fingerprint"]:
        usable = [(key_id, der) for key_id, der in usable if fingerprint_of(der) == request["fingerprint"]]
        if not usable:
            raise Fault("card_swapped")
    return usable


def _key_of(session: Any, usable: tuple[bytes, bytes], request: dict[str, Any]) -> tuple[Any, bytes]:
    """Return the private key of a certificate that may be used now, and the certificate."""
    key_id, der = usable
    _check_dates(load(der), request["at"], may_be_expired=request.get("may_be_expired", False))
    _algorithm_of(der)
    try:
        return session.get_key(ObjectClass.PRIVATE_KEY, id=key_id), der
    except (p11.NoSuchKey, p11.MultipleObjectsReturned):
        raise Fault("no_suitable_certificate") from None


def _signed(key: Any, slot: Any, der: bytes, request: dict[str, Any], pin: str | None) -> str:
    """Return the document of the request as a JWS by this key."""
    algorithm = _algorithm_of(der)
    header = jws.header_for([der], algorithm=algorithm, typ=request["typ"], iat=request["at"])
    signed = jws.signing_input(request["document"].encode(), header)
    return jws.assemble(signed, _signature(key, slot, algorithm, signed, pin))


def _check_dates(certificate: x509.Certificate, at: int, *, may_be_expired: bool) -> None:
    if not may_be_expired and at > certificate.not_valid_after_utc.timestamp():
        raise Fault("certificate_expired")
    if at < certificate.not_valid_before_utc.timestamp():
        raise Fault("certificate_not_yet_valid")


def _algorithm_of(der: bytes) -> str:
    key = load(der).public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return "RS256"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in ("secp256r1", "secp384r1"):
        return {"secp256r1": "ES256", "secp384r1": "ES384"}[key.curve.name]
    raise Fault("no_suitable_certificate")


def _asks_the_pin_each_time(key: Any) -> bool:
    """Tell whether this key wants the PIN again with every signature; the log-in has just found it right."""
    try:
        return bool(key[Attribute.ALWAYS_AUTHENTICATE])
    except p11.PKCS11Error:
        return False


def _signature(key: Any, slot: Any, algorithm: str, message: bytes, pin: str | None) -> bytes:
    if algorithm != "RS256":
        digest = hashlib.new({"ES256": "sha256", "ES384": "sha384"}[algorithm], message).digest()
        return bytes(key.sign(digest, mechanism=Mechanism.ECDSA, pin=pin))
    if Mechanism.SHA256_RSA_PKCS in slot.get_mechanisms():
        return bytes(key.sign(message, mechanism=Mechanism.SHA256_RSA_PKCS, pin=pin))
    bare = _SHA256_DIGEST_INFO + hashlib.sha256(message).digest()
    return bytes(key.sign(bare, mechanism=Mechanism.RSA_PKCS, pin=pin))


def answer(reading: Reading, holding: Holding, request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to one request; a fault is an answer too."""
    try:
        if request["operation"] == "cards":
            return {"cards": reading.cards(request["module"])}
        if request["operation"] == "readers":
            return {"readers": connected_readers()}
        if request["operation"] == "log_in":
            return holding.log_in(request)
        if request["operation"] == "sign":
            return holding.sign(request)
        return use_card(request)
    except Fault as fault:
        return {"faults": fault.names}
    except p11.PKCS11Error:
        return {"faults": ["module_failed"]}


def main() -> None:
    """Answer requests until stdin ends."""
    keep_out_of_core_files()
    end_with_the_program()
    reading, holding = Reading(), Holding()
    with _answers_only() as answers:
        for line in sys.stdin.buffer:
            answers.write(json.dumps(answer(reading, holding, json.loads(line))) + "\n")
            answers.flush()


def _answers_only() -> TextIO:
    """Return stdout for the answers alone: what a module writes there goes nowhere."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return answers


if __name__ == "__main__":
    main()
