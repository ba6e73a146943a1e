-- Who may do what, on PostgreSQL. Run it as the owner of the tables after every `migrate`; it may be run again.
-- The database's administrator has made four roles that can log in: irefuda_web (contractors' and staff's web),
-- irefuda_public (the public's web), irefuda_jobs (outbox, timers), irefuda_sequencer (`sequence_ledger` alone, the only
-- one whose user can also read head.pem).

GRANT USAGE ON SCHEMA public TO irefuda_web, irefuda_public, irefuda_jobs, irefuda_sequencer;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO irefuda_web, irefuda_jobs;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO irefuda_web, irefuda_jobs;
-- A web process that was taken over writes entries, as every deed does, but no place, no subtree and no signed head.
REVOKE INSERT, UPDATE, DELETE ON ledger_leaf, ledger_node, ledger_checkpoint FROM irefuda_web, irefuda_jobs;
REVOKE UPDATE, DELETE ON ledger_entry, ledger_pending, cards_revocationlistrecord FROM irefuda_web, irefuda_jobs;
REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM irefuda_web, irefuda_jobs;
-- Which realm this is, and which authorities' cards are taken, is set by the owner's commands.
REVOKE INSERT, UPDATE, DELETE ON agencies_installation, cards_trustedauthority FROM irefuda_web, irefuda_jobs;
-- But for its stamp, which a trigger renews when staff change an agency: every process then reads the agencies anew.
GRANT UPDATE (stamp) ON agencies_installation TO irefuda_web;
-- The outbox and the timers do no deeds: they write no entry, let nobody in, and register nothing.
REVOKE INSERT ON ledger_entry, ledger_pending FROM irefuda_jobs;
REVOKE INSERT, UPDATE, DELETE ON staff_staffmember, staff_staffcard, staff_staffrole, staff_staffact FROM irefuda_jobs;

-- The public reads, and what it need not read it cannot: nobody's session, PIN try, draft or mail is behind that site.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO irefuda_public;
REVOKE SELECT ON django_session FROM irefuda_public;

-- The sequencer reads the ledger, appends to it, and touches nothing else.
GRANT SELECT ON agencies_installation, ledger_entry TO irefuda_sequencer;
GRANT SELECT, DELETE ON ledger_pending TO irefuda_sequencer;
GRANT SELECT, INSERT ON ledger_leaf, ledger_node, ledger_checkpoint TO irefuda_sequencer;
GRANT USAGE ON ledger_node_id_seq TO irefuda_sequencer;
