"""The trust store (whose cards are taken, and what is revoked) and the nonces of card proofs."""

from __future__ import annotations

import uuid

from django.db import models


class Audience(models.TextChoices):
    """Who logs in with the cards of an authority; the one's cards never open the other's site."""

    SUPPLIER = "supplier", "受注者"
    STAFF = "staff", "職員"


class TrustedAuthority(models.Model):
    """A certification authority whose cards are taken."""

    name = models.CharField(max_length=60, unique=True)
    audience = models.CharField(max_length=8, choices=Audience.choices)
    root = models.BinaryField()
    # DER certificates in base64, root's side first.
    intermediates = models.JSONField(default=list)
    # A card must carry one of these certificate policies; empty asks for none.
    policy_oids = models.JSONField(default=list)
    # How its certificates name company and holder (irefuda_core.certificate.AttributeMapping); {} = the usual way.
    mapping = models.JSONField(default=dict)
    crl_urls = models.JSONField(default=list)
    # How long after its nextUpdate a revocation list is still relied on.
    crl_grace_hours = models.PositiveIntegerField(default=24)
    # Cards of a demo authority are for practice only: their company name is not compared with the register.
    demo = models.BooleanField(default=False)
    added_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(audience__in=Audience.values), name="authority_audience_known"),
        ]

    def __str__(self) -> str:
        return self.name


class RevocationListRecord(models.Model):
    """A verified revocation list as it was fetched, kept as evidence: rows are inserted only (triggers)."""

    # The signer: the SHA-256 of the issuer's name and of its public key (SubjectPublicKeyInfo). A name alone is not
    # enough: two authorities may share one, and each counts its own lists.
    issuer_key = models.CharField(max_length=64)
    signing_key = models.CharField(max_length=64)
    # Decimal, with leading zeros to the width of RFC 5280's 20 octets: text sorts as the numbers do.
    number = models.CharField(max_length=49)
    this_update = models.DateTimeField()
    next_update = models.DateTimeField()
    sha256 = models.CharField(max_length=64)
    der = models.BinaryField()
    source = models.CharField(max_length=300)
    fetched_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["issuer_key", "signing_key", "number"], name="one_revocation_list_per_number"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.issuer_key[:8]} {self.number.lstrip('0') or '0'}"


class TrustVersion(models.Model):
    """The one row that every change of the trust store stamps anew, so that a process knows when to read it again."""

    # Random, not counted: a stamp that was rolled back never comes again for something else.
    authorities = models.UUIDField(default=uuid.uuid4)
    revocation_lists = models.UUIDField(default=uuid.uuid4)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_trust_version")]

    def __str__(self) -> str:
        return f"{self.authorities}/{self.revocation_lists}"


class Nonce(models.Model):
    """A challenge handed to one browser, to be signed by a card within five minutes, once.

    It stands here in the clear, because a Web eID token does not repeat it and the signature is checked over it; it is
    no secret, and worth nothing without the cookie of the browser that it was handed to (kept as SHA-256).
    """

    nonce = models.CharField(max_length=64, unique=True)
    browser_sha256 = models.CharField(max_length=64)
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["browser_sha256"], name="nonce_of_browser"),
            models.Index(fields=["expires_at"], name="nonce_expiry"),
        ]

    def __str__(self) -> str:
        return f"nonce {self.id} until {self.expires_at:%H:%M:%S}"
