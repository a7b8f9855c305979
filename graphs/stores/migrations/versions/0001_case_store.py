"""The first schema of the case store, and the triggers that keep its audit append-only.

Spelt out and not taken from the models: a migration stays what it was when the models move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

APPEND_ONLY = ("audit", "frozen_evidence")


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("audit_id", NUMBER, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("audit_id", name="pk_audit"),
    )
    op.create_index("ix_audit_actor", "audit", ["actor"], unique=False)
    op.create_index("ix_audit_at", "audit", ["at"], unique=False)
    op.create_index("ix_audit_subject", "audit", ["subject"], unique=False)
    op.create_table(
        "finder_runs",
        sa.Column("run_id", NUMBER, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("as_of", sa.BigInteger(), nullable=False),
        sa.Column("previous_as_of", sa.BigInteger(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("rings", sa.Integer(), nullable=False),
        sa.Column("imported_at", sa.BigInteger(), nullable=False),
        sa.Column("imported_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_finder_runs"),
        sa.UniqueConstraint("digest", name="uq_finder_runs_digest"),
    )
    op.create_index("ix_finder_runs_as_of", "finder_runs", ["as_of"], unique=False)
    op.create_table(
        "marks",
        sa.Column("mark_id", NUMBER, nullable=False),
        sa.Column("list", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=False),
        sa.Column("batch", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_at", sa.BigInteger(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.Column("removed_by", sa.Text(), nullable=True),
        sa.Column("removed_because", sa.Text(), nullable=True),
        sa.CheckConstraint("list IN ('watch', 'benign', 'block')", name="ck_marks_list"),
        sa.PrimaryKeyConstraint("mark_id", name="pk_marks"),
    )
    op.create_index("ix_marks_entity_id_entity_type", "marks", ["entity_id", "entity_type"], unique=False)
    op.create_index(
        "one_mark_per_list",
        "marks",
        ["list", "entity_type", "entity_id"],
        unique=True,
        sqlite_where=sa.text("removed_at IS NULL"),
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.create_table(
        "people",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.CheckConstraint("role IN ('viewer', 'investigator', 'lead', 'admin')", name="ck_people_role"),
        sa.PrimaryKeyConstraint("name", name="pk_people"),
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_settings"),
    )
    op.create_table(
        "api_keys",
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["people.name"], name="fk_api_keys_person"),
        sa.PrimaryKeyConstraint("prefix", name="pk_api_keys"),
    )
    op.create_index("ix_api_keys_person", "api_keys", ["person"], unique=False)
    op.create_table(
        "rings",
        sa.Column("ring_id", sa.Text(), nullable=False),
        sa.Column("run_id", NUMBER, nullable=False),
        sa.Column("as_of", sa.BigInteger(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("headline", sa.Text(), nullable=False),
        sa.Column("p_ring", sa.Double(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("preventable_value", sa.Double(), nullable=False),
        sa.Column("value_total", sa.Double(), nullable=False),
        sa.Column("value_fraud", sa.Double(), nullable=False),
        sa.Column("payments", sa.BigInteger(), nullable=False),
        sa.Column("users", sa.Integer(), nullable=False),
        sa.Column("first_event_time", sa.BigInteger(), nullable=True),
        sa.Column("last_event_time", sa.BigInteger(), nullable=True),
        sa.Column("first_seen", sa.BigInteger(), nullable=True),
        sa.Column("merged_into", sa.Text(), nullable=True),
        sa.Column("picture", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["finder_runs.run_id"], name="fk_rings_run_id"),
        sa.PrimaryKeyConstraint("ring_id", name="pk_rings"),
    )
    op.create_index("ix_rings_last_event_time", "rings", ["last_event_time", "ring_id"], unique=False)
    op.create_index("ix_rings_score", "rings", ["score", "ring_id"], unique=False)
    op.create_table(
        "frozen_evidence",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("ring_id", sa.Text(), nullable=False),
        sa.Column("run_id", NUMBER, nullable=False),
        sa.Column("frozen_at", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["ring_id"], ["rings.ring_id"], name="fk_frozen_evidence_ring_id"),
        sa.ForeignKeyConstraint(["run_id"], ["finder_runs.run_id"], name="fk_frozen_evidence_run_id"),
        sa.PrimaryKeyConstraint("digest", name="pk_frozen_evidence"),
    )
    op.create_index("ix_frozen_evidence_ring_id", "frozen_evidence", ["ring_id"], unique=False)
    op.create_table(
        "ring_aliases",
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("ring_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["ring_id"], ["rings.ring_id"], name="fk_ring_aliases_ring_id"),
        sa.PrimaryKeyConstraint("alias", name="pk_ring_aliases"),
    )
    op.create_index("ix_ring_aliases_ring_id", "ring_aliases", ["ring_id"], unique=False)
    op.create_table(
        "ring_evidence",
        sa.Column("row_id", NUMBER, nullable=False),
        sa.Column("run_id", NUMBER, nullable=False),
        sa.Column("ring_id", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=True),
        sa.Column("entity_id", sa.Text(), nullable=True),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("others", sa.BigInteger(), nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["ring_id"], ["rings.ring_id"], name="fk_ring_evidence_ring_id"),
        sa.ForeignKeyConstraint(["run_id"], ["finder_runs.run_id"], name="fk_ring_evidence_run_id"),
        sa.PrimaryKeyConstraint("row_id", name="pk_ring_evidence"),
    )
    op.create_index("ix_ring_evidence_ring_id_run_id", "ring_evidence", ["ring_id", "run_id"], unique=False)
    op.create_table(
        "ring_lineage",
        sa.Column("lineage_id", NUMBER, nullable=False),
        sa.Column("run_id", NUMBER, nullable=False),
        sa.Column("ring_id", sa.Text(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("other_ring_id", sa.Text(), nullable=True),
        sa.Column("as_of", sa.BigInteger(), nullable=False),
        sa.Column("jaccard", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["ring_id"], ["rings.ring_id"], name="fk_ring_lineage_ring_id"),
        sa.ForeignKeyConstraint(["run_id"], ["finder_runs.run_id"], name="fk_ring_lineage_run_id"),
        sa.PrimaryKeyConstraint("lineage_id", name="pk_ring_lineage"),
    )
    op.create_index("ix_ring_lineage_as_of", "ring_lineage", ["as_of"], unique=False)
    op.create_index("ix_ring_lineage_ring_id_as_of", "ring_lineage", ["ring_id", "as_of"], unique=False)
    op.create_table(
        "ring_links",
        sa.Column("row_id", NUMBER, nullable=False),
        sa.Column("run_id", NUMBER, nullable=False),
        sa.Column("ring_id", sa.Text(), nullable=False),
        sa.Column("source_type", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("target_type", sa.Text(), nullable=False),
        sa.Column("target_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("first_time", sa.BigInteger(), nullable=True),
        sa.Column("last_time", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["ring_id"], ["rings.ring_id"], name="fk_ring_links_ring_id"),
        sa.ForeignKeyConstraint(["run_id"], ["finder_runs.run_id"], name="fk_ring_links_run_id"),
        sa.PrimaryKeyConstraint("row_id", name="pk_ring_links"),
    )
    op.create_index("ix_ring_links_ring_id_run_id", "ring_links", ["ring_id", "run_id"], unique=False)
    op.create_table(
        "ring_members",
        sa.Column("row_id", NUMBER, nullable=False),
        sa.Column("run_id", NUMBER, nullable=False),
        sa.Column("ring_id", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("attachment", sa.Double(), nullable=True),
        sa.Column("first_seen", sa.BigInteger(), nullable=True),
        sa.Column("last_seen", sa.BigInteger(), nullable=True),
        sa.Column("payments", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("x", sa.Double(), nullable=True),
        sa.Column("y", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["ring_id"], ["rings.ring_id"], name="fk_ring_members_ring_id"),
        sa.ForeignKeyConstraint(["run_id"], ["finder_runs.run_id"], name="fk_ring_members_run_id"),
        sa.PrimaryKeyConstraint("row_id", name="pk_ring_members"),
    )
    op.create_index("ix_ring_members_entity_id_entity_type", "ring_members", ["entity_id", "entity_type"], unique=False)
    op.create_index("ix_ring_members_ring_id_run_id", "ring_members", ["ring_id", "run_id"], unique=False)
    op.create_table(
        "ring_payments",
        sa.Column("row_id", NUMBER, nullable=False),
        sa.Column("run_id", NUMBER, nullable=False),
        sa.Column("ring_id", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("event_time", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.Double(), nullable=True),
        sa.Column("score", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["ring_id"], ["rings.ring_id"], name="fk_ring_payments_ring_id"),
        sa.ForeignKeyConstraint(["run_id"], ["finder_runs.run_id"], name="fk_ring_payments_run_id"),
        sa.PrimaryKeyConstraint("row_id", name="pk_ring_payments"),
    )
    op.create_index("ix_ring_payments_event_id", "ring_payments", ["event_id"], unique=False)
    op.create_index("ix_ring_payments_ring_id_event_time", "ring_payments", ["ring_id", "event_time"], unique=False)
    op.create_table(
        "ring_versions",
        sa.Column("run_id", NUMBER, nullable=False),
        sa.Column("ring_id", sa.Text(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("headline", sa.Text(), nullable=False),
        sa.Column("p_ring", sa.Double(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("preventable_value", sa.Double(), nullable=False),
        sa.Column("value_total", sa.Double(), nullable=False),
        sa.Column("value_fraud", sa.Double(), nullable=False),
        sa.Column("payments", sa.BigInteger(), nullable=False),
        sa.Column("users", sa.Integer(), nullable=False),
        sa.Column("first_event_time", sa.BigInteger(), nullable=True),
        sa.Column("last_event_time", sa.BigInteger(), nullable=True),
        sa.Column("first_seen", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["ring_id"], ["rings.ring_id"], name="fk_ring_versions_ring_id"),
        sa.ForeignKeyConstraint(["run_id"], ["finder_runs.run_id"], name="fk_ring_versions_run_id"),
        sa.PrimaryKeyConstraint("run_id", "ring_id", name="pk_ring_versions"),
    )
    op.create_index("ix_ring_versions_ring_id", "ring_versions", ["ring_id"], unique=False)
    op.create_table(
        "cases",
        sa.Column("case_id", NUMBER, nullable=False),
        sa.Column("ring_id", sa.Text(), nullable=False),
        sa.Column("previous_case_id", NUMBER, nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("waiting_for", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("opened_because", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("close_requested_by", sa.Text(), nullable=True),
        sa.Column("close_requested_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("outcome_reason", sa.Text(), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("status IN ('open', 'in_progress', 'waiting', 'closed')", name="ck_cases_status"),
        sa.ForeignKeyConstraint(["evidence"], ["frozen_evidence.digest"], name="fk_cases_evidence"),
        sa.ForeignKeyConstraint(["previous_case_id"], ["cases.case_id"], name="fk_cases_previous_case_id"),
        sa.ForeignKeyConstraint(["ring_id"], ["rings.ring_id"], name="fk_cases_ring_id"),
        sa.PrimaryKeyConstraint("case_id", name="pk_cases"),
    )
    op.create_index("ix_cases_owner_status", "cases", ["owner", "status"], unique=False)
    op.create_index("ix_cases_ring_id", "cases", ["ring_id"], unique=False)
    op.create_index(
        "one_open_case_per_ring",
        "cases",
        ["ring_id"],
        unique=True,
        sqlite_where=sa.text("status != 'closed'"),
        postgresql_where=sa.text("status != 'closed'"),
    )
    op.create_table(
        "notes",
        sa.Column("note_id", NUMBER, nullable=False),
        sa.Column("case_id", NUMBER, nullable=False),
        sa.Column("written_at", sa.BigInteger(), nullable=False),
        sa.Column("written_by", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.case_id"], name="fk_notes_case_id"),
        sa.PrimaryKeyConstraint("note_id", name="pk_notes"),
    )
    op.create_index("ix_notes_case_id", "notes", ["case_id"], unique=False)
    op.create_table(
        "verdicts",
        sa.Column("verdict_id", NUMBER, nullable=False),
        sa.Column("case_id", NUMBER, nullable=False),
        sa.Column("ring_id", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("latest", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "verdict IN ('fraud', 'mule', 'victim', 'legitimate', 'unsure')", name="ck_verdicts_verdict"
        ),
        sa.ForeignKeyConstraint(["case_id"], ["cases.case_id"], name="fk_verdicts_case_id"),
        sa.ForeignKeyConstraint(["evidence"], ["frozen_evidence.digest"], name="fk_verdicts_evidence"),
        sa.ForeignKeyConstraint(["ring_id"], ["rings.ring_id"], name="fk_verdicts_ring_id"),
        sa.PrimaryKeyConstraint("verdict_id", name="pk_verdicts"),
    )
    op.create_index("ix_verdicts_case_id", "verdicts", ["case_id"], unique=False)
    op.create_index("ix_verdicts_entity_id_entity_type", "verdicts", ["entity_id", "entity_type"], unique=False)
    op.create_index("ix_verdicts_ring_id", "verdicts", ["ring_id"], unique=False)

    if op.get_bind().dialect.name == "sqlite":
        for table in APPEND_ONLY:
            for change in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )
        return
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
