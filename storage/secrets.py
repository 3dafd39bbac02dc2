"""Encryption at rest: AES-256-GCM, a ring of keys, bound to whose secret it is, and where.

From each key of the ring another is derived, for the audit.
"""

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from engine.audit import AuditKey
from engine.errors import LatchkeyError
from engine.port import Secret

_NONCE = 12  # bytes; NIST SP 800-38D
_KEY_ID = 4  # bytes; of the key's own hash


class BadKeyError(LatchkeyError, ValueError):
    """An encryption key is 32 bytes in base64; make one with `latchkey key`."""


def new_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


class KeyRing:
    """Encrypts with the first key; decrypts with whichever key encrypted.

    `about` is the row's identity, with the person whose secret it is: copied to another row, or to
    another installation's database, it does not decrypt.
    """

    def __init__(self, keys: Sequence[str], installation: str = "") -> None:
        self.installation = installation
        self._keys = {}
        audit = []
        for key in keys:
            try:
                raw = base64.urlsafe_b64decode(key)
            except ValueError:
                raise BadKeyError from None
            if len(raw) != 32:
                raise BadKeyError
            self._keys[hashlib.sha256(raw).digest()[:_KEY_ID]] = AESGCM(raw)
            audit.append(_audit_key(raw, installation))
        if not self._keys:
            raise BadKeyError
        self._first = next(iter(self._keys))
        self.audit_key = audit[0]  # the one to write with
        self.audit_keys: Mapping[str, AuditKey] = {key.id: key for key in audit}

    def seal(self, secret: Secret, about: str) -> bytes:
        nonce = os.urandom(_NONCE)
        text = secret.reveal().encode()
        sealed = self._keys[self._first].encrypt(nonce, text, self._bound(about))
        return self._first + nonce + sealed

    def open(self, sealed: object, about: str) -> Secret | None:
        """Return the secret; None if no key of the ring opens it for this row.

        What stands where it should may be anything.
        """
        if not isinstance(sealed, bytes) or (key := self._keys.get(sealed[:_KEY_ID])) is None:
            return None
        nonce, text = sealed[_KEY_ID : _KEY_ID + _NONCE], sealed[_KEY_ID + _NONCE :]
        try:
            return Secret(key.decrypt(nonce, text, self._bound(about)).decode())
        except (InvalidTag, ValueError):  # not ours, or cut short
            return None

    def names(self, sealed: object) -> bool:
        """Tell whether it is said to be sealed with a key of the ring."""
        return isinstance(sealed, bytes) and sealed[:_KEY_ID] in self._keys

    def is_older(self, sealed: object) -> bool:
        """Tell whether it is said to be sealed with a key of the ring that is not the first."""
        return self.names(sealed) and not cast(bytes, sealed).startswith(self._first)

    def _bound(self, about: str) -> bytes:
        return json.dumps([self.installation, about]).encode()


def _audit_key(raw: bytes, installation: str) -> AuditKey:
    context = json.dumps(["audit", installation]).encode()
    derived = HKDF(SHA256(), length=32, salt=None, info=context).derive(raw)
    return AuditKey(hashlib.sha256(derived).hexdigest()[: 2 * _KEY_ID], derived)
