"""The outbox: what is to be told to whom, and what became of it."""

from __future__ import annotations

import uuid

from django.db import models


class State(models.TextChoices):
    QUEUED = "queued", "送信待ち"
    CLAIMED = "claimed", "送信中"
    SENT = "sent", "送信済み"
    FAILED = "failed", "不達"


class Notice(models.Model):
    """One mail to one address; the same row is the message in the person's inbox."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    # Fixed when queued: should a notice ever go out twice, both mails carry this id and mail programs can tell.
    message_id = models.CharField(max_length=255, unique=True)
    kind = models.CharField(max_length=60)
    to = models.CharField(max_length=254)
    sender = models.CharField(max_length=254)
    subject = models.CharField(max_length=200)
    body = models.TextField()
    # Whose inbox: the fingerprint of a certificate, a 企業ID, or "" for nobody's.
    inbox = models.CharField(max_length=64, blank=True)
    # What must be told only once, however often a command finds it: a name for that, or "" for any other notice.
    once = models.CharField(max_length=120, blank=True)
    queued_at = models.DateTimeField()
    state = models.CharField(max_length=7, choices=State.choices, default=State.QUEUED)
    attempts = models.PositiveIntegerField(default=0)
    # When queued: not before then. When claimed: the end of the claim, from when another worker may take it.
    next_attempt_at = models.DateTimeField()
    claimed_until = models.DateTimeField(null=True)
    claimed_by = models.CharField(max_length=100, blank=True)
    sent_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["once"], condition=~models.Q(once=""), name="notice_told_once"),
            models.CheckConstraint(condition=models.Q(state__in=State.values), name="notice_state_known"),
            models.CheckConstraint(
                condition=~models.Q(state="claimed") | models.Q(claimed_until__isnull=False),
                name="notice_claim_expires",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="sent") | models.Q(sent_at__isnull=False), name="notice_sent_when"
            ),
        ]
        indexes = [
            models.Index(fields=["state", "next_attempt_at"], name="notice_due"),
            models.Index(fields=["inbox", "-queued_at"], name="notice_inbox"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def delivery(self) -> str:
        """Return what became of the mail, in the words of the inbox."""
        return {State.SENT: "送信済み", State.FAILED: "届きませんでした"}.get(State(self.state), "送信待ち")


class ReadMark(models.Model):
    """A card's holder has opened a notice. An inbox of a company is read with many cards, so the mark is the card's."""

    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="read_marks")
    # The fingerprint of the certificate, as in `Notice.inbox`.
    reader = models.CharField(max_length=64)
    read_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["notice", "reader"], name="one_read_mark_per_reader")]

    def __str__(self) -> str:
        return f"{self.notice_id} {self.reader[:8]}"


class BounceOrigin(models.TextChoices):
    SMTP = "smtp", "送信時の拒否"
    REPORT = "report", "配信不能通知"


class Bounce(models.Model):
    """A mail server said that a notice does not arrive, or not yet."""

    notice = models.ForeignKey(Notice, on_delete=models.PROTECT, related_name="bounces")
    origin = models.CharField(max_length=6, choices=BounceOrigin.choices)
    # RFC 3464 section 2.3.3: "failed" or "delayed".
    action = models.CharField(max_length=10)
    # RFC 3463 status such as 5.1.1, or the three-digit reply where the server gave no more.
    status = models.CharField(max_length=15)
    diagnostic = models.CharField(max_length=500, blank=True)
    recorded_at = models.DateTimeField()
    # What was read, so that reading it again adds nothing: SHA-256 of the report, or the number of the attempt.
    source = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["notice", "origin", "source"], name="one_bounce_per_source"),
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.notice_id}"


class PracticeMail(models.Model):
    """A mail that arrived at the practice realm's own mail server, which delivers nowhere else."""

    message_id = models.CharField(max_length=255, blank=True)
    sender = models.CharField(max_length=254)
    to = models.CharField(max_length=254)
    subject = models.CharField(max_length=500)
    body = models.TextField()
    received_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["-received_at", "-id"], name="practice_mail_latest")]

    def __str__(self) -> str:
        return f"{self.message_id} {self.received_at:%Y-%m-%d %H:%M}"
