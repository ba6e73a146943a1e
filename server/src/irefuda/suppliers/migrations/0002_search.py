"""Where the search terms stand: FTS5 on SQLite, tsvector with GIN on PostgreSQL. Filled by suppliers/search.py."""

from django.db import migrations

SQLITE = """
CREATE VIRTUAL TABLE suppliers_search USING fts5(terms, columnsize=0, tokenize='ascii')
"""
POSTGRESQL = """
CREATE TABLE suppliers_search (supplier_id bigint PRIMARY KEY, terms tsvector NOT NULL);
CREATE INDEX suppliers_search_terms ON suppliers_search USING gin (terms);
"""


def create(apps, schema_editor):
    schema_editor.execute(SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRESQL)


def drop(apps, schema_editor):
    schema_editor.execute("DROP TABLE suppliers_search")


class Migration(migrations.Migration):
    dependencies = [("suppliers", "0001_initial")]
    operations = [migrations.RunPython(create, drop)]
