"""Bind kept revocation lists to the key that signed them: authorities may share a name, and one may change its key.

Rows from before get the key of the trusted authority under which they verify; those of authorities that were removed
since keep an empty one: they stay as evidence, and no card is judged by them. The way back is open as long as no number
of one name was taken by two keys: then the older constraint cannot hold, and evidence is not deleted for it.
"""

import base64
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.db import migrations, models

TABLE = "cards_revocationlistrecord"
NEW = "id = NEW.id OR (issuer_key = NEW.issuer_key AND signing_key = NEW.signing_key AND number = NEW.number)"
OLD = "id = NEW.id OR (issuer_key = NEW.issuer_key AND number = NEW.number)"


def open_doors(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP TRIGGER {TABLE}_insert_only ON {TABLE}")
    else:
        for door in ("update", "delete", "replace"):
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {TABLE}_no_{door}")


def close_doors(same):
    """Return what puts up all triggers of 0002 and 0003: on SQLite a new column or constraint makes the table anew."""

    def close(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(
                f"CREATE TRIGGER {TABLE}_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {TABLE} "
                "FOR EACH STATEMENT EXECUTE FUNCTION cards_keeps_evidence()"
            )
            schema_editor.execute(f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER {TABLE}_insert_only")
            return
        refuse = "BEGIN SELECT RAISE(ABORT, 'revocation lists are kept as evidence'); END"
        for act in ("UPDATE", "DELETE"):
            schema_editor.execute(f"CREATE TRIGGER {TABLE}_no_{act.lower()} BEFORE {act} ON {TABLE} {refuse}")
        schema_editor.execute(
            f"CREATE TRIGGER {TABLE}_no_replace BEFORE INSERT ON {TABLE} "
            f"WHEN EXISTS (SELECT 1 FROM {TABLE} WHERE {same}) {refuse}"
        )

    return close


def derive(apps, schema_editor):
    records = apps.get_model("cards", "RevocationListRecord").objects
    rows = apps.get_model("cards", "TrustedAuthority").objects.all()
    ders = {der for row in rows for der in (bytes(row.root), *map(base64.b64decode, row.intermediates))}
    certificates = [x509.load_der_x509_certificate(der) for der in sorted(ders)]
    for record_id, der in records.values_list("id", "der").iterator():
        records.filter(id=record_id).update(signing_key=_signing_key(bytes(der), certificates))


def _signing_key(der, certificates):
    try:
        crl = x509.load_der_x509_crl(der)
    except ValueError:
        return ""
    for certificate in certificates:
        key = certificate.public_key()
        known = isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
        if known and crl.issuer == certificate.subject and crl.is_signature_valid(key):
            return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
    return ""


class Migration(migrations.Migration):
    dependencies = [("cards", "0003_evidence_side_doors")]

    operations = [
        migrations.RunPython(open_doors, close_doors(OLD)),
        migrations.AddField(
            model_name="revocationlistrecord",
            name="signing_key",
            field=models.CharField(default="", max_length=64),
            preserve_default=False,
        ),
        migrations.RunPython(derive, migrations.RunPython.noop),
        migrations.RemoveConstraint(model_name="revocationlistrecord", name="one_revocation_list_per_number"),
        migrations.AddConstraint(
            model_name="revocationlistrecord",
            constraint=models.UniqueConstraint(
                fields=("issuer_key", "signing_key", "number"), name="one_revocation_list_per_number"
            ),
        ),
        migrations.RunPython(close_doors(NEW), open_doors),
    ]
