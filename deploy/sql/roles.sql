-- Who may write what, on PostgreSQL. Run it as the owner of the tables after every `migrate`; it may be run again.
-- The database's administrator has made two roles that can log in: irefuda_web (web, outbox, timers) and
-- irefuda_sequencer (`sequence_ledger` alone, the only one that can also read head.pem).

GRANT USAGE ON SCHEMA public TO irefuda_web, irefuda_sequencer;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO irefuda_web;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO irefuda_web;
-- A web process that was taken over writes entries, as every deed does, but no place, no subtree and no signed head.
REVOKE INSERT, UPDATE, DELETE ON ledger_leaf, ledger_node, ledger_checkpoint FROM irefuda_web;
REVOKE UPDATE, DELETE ON ledger_entry, ledger_pending, cards_revocationlistrecord FROM irefuda_web;
REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM irefuda_web;

-- The sequencer reads the ledger, appends to it, and touches nothing else.
GRANT SELECT ON agencies_installation, ledger_entry TO irefuda_sequencer;
GRANT SELECT, DELETE ON ledger_pending TO irefuda_sequencer;
GRANT SELECT, INSERT ON ledger_leaf, ledger_node, ledger_checkpoint TO irefuda_sequencer;
GRANT USAGE ON ledger_node_id_seq TO irefuda_sequencer;
