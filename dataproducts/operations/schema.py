"""Tables of the operations database, as the newest migration leaves them; it must not know what is done with them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
)

from dataproducts.database import Branch, UtcDateTime
from dataproducts.database.columns import BIG, maybe, moment, text

metadata = MetaData()

BRANCH = Branch(
    name="operations database",
    metadata=metadata,
    revisions=("0001",),
    scripts=Path(__file__).parent / "migrations",
    lock=0x6F706572_6174696F,  # "operatio"
    absent="Build a product first.",
)

# One thing that is wrong, however often it is seen. `fingerprint` says what it is; one incident each, reopened.
incident = Table(
    "incident",
    metadata,
    text("id", primary_key=True),
    text("fingerprint"),
    text("product"),
    text("table_name"),
    text("kind"),
    text("subject"),
    text("severity"),
    text("state"),  # open, acknowledged or resolved
    text("title"),
    text("owner"),
    text("assignee"),
    moment("failed_at"),  # when it went wrong, as far as is known, in its current episode
    moment("opened_at"),  # when it was detected, in its current episode
    maybe("notified_at"),
    maybe("acknowledged_at"),
    maybe("resolved_at"),
    maybe("muted_until"),
    maybe("seen_at"),
    Column("episode", Integer(), nullable=False),  # 1, and one more each time it is reopened
    Column("seen", Integer(), nullable=False),  # sightings in the current episode
    Column("detail", JSON(), nullable=False),
    Column("tickets", JSON(), nullable=False),  # tracker -> address of the ticket
    UniqueConstraint("fingerprint", name="one_incident_a_fingerprint"),
    Index("incident_by_product", "product", "state"),
)

# The timeline of an incident: what happened, when, by whom. Never changed.
incident_event = Table(
    "incident_event",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=True),
    text("incident_id"),
    moment("at"),
    text("kind"),
    text("actor"),
    Column("detail", JSON(), nullable=False),
    ForeignKeyConstraint(["incident_id"], ["incident.id"], name="event_of_incident"),
    Index("incident_event_by_incident", "incident_id", "id"),
)

# The outbox: what is to be said to whom through which channel. `key` is the idempotency key, sent along.
notice = Table(
    "notice",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=True),
    text("key"),
    text("incident_id"),  # empty for what is about no incident
    Column("episode", Integer(), nullable=False),  # of the incident; 0 for what is about none
    text("product"),
    text("kind"),  # opened, reopened, worsened, escalated, recovered, deprecated, retired, breaking, digest …
    text("severity"),
    text("recipient"),  # a name of the directory
    text("channel"),  # a channel of it: never the address, which may hold a secret
    text("subject"),
    text("body"),
    Column("facts", JSON(), nullable=False),  # the same for programs
    text("digest"),  # the digest that it waits for, or the key of the digest that it went with
    text("state"),  # waiting, joined (to a digest), sent, cancelled or dropped
    text("held"),  # why it is not due: quiet, muted, or nothing
    moment("created_at"),
    moment("due_at"),
    maybe("sent_at"),
    Column("attempts", Integer(), nullable=False),
    text("last_error"),
    maybe("failing_since"),
    text("lease"),  # whoever is sending it
    maybe("leased_until"),
    UniqueConstraint("key", name="one_notice_a_key"),
    Index("notice_by_state", "state", "due_at"),
    Index("notice_by_incident", "incident_id"),
)

# A step of a product's lifecycle, or a review of it. Never changed.
transition = Table(
    "transition",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=True),
    text("product"),
    text("version"),
    text("kind"),  # promote, deprecate, retire, reinstate or review
    text("from_status"),
    text("to_status"),
    moment("at"),
    text("actor"),
    text("reason"),
    Column("detail", JSON(), nullable=False),
    Index("transition_by_product", "product", "id"),
)

# What an objective was measured to be: one row a measurement.
measurement = Table(
    "measurement",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=True),
    text("product"),
    text("objective"),
    moment("at"),
    Column("days", Float(), nullable=False),  # the window that it looks back over
    Column("good", Float(), nullable=False),
    Column("total", Float(), nullable=False),
    Column("target", Float(), nullable=False),
    Column("attainment", Float()),  # 0 to 1; absent where nothing was to be counted
    Column("budget_left", Float()),  # 1 is all of it, below 0 is overspent
    Column("detail", JSON(), nullable=False),
    UniqueConstraint("product", "objective", "days", "at", name="one_measurement_a_moment"),
)

# One answer of something that was asked: a port, a source, the real state of an access rule.
probe = Table(
    "probe",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=True),
    text("product"),
    text("subject"),
    text("kind"),
    moment("at"),
    Column("ok", Boolean(), nullable=False),
    Column("value", Float()),
    Column("detail", JSON(), nullable=False),
    Index("probe_by_subject", "product", "kind", "subject", "id"),
)

# What a refresh cost, and how it ended.
refresh_cost = Table(
    "refresh_cost",
    metadata,
    text("refresh_id", primary_key=True),
    text("product", primary_key=True),
    moment("at"),
    text("outcome"),  # released, refused, failed
    Column("wall_s", Float(), nullable=False),
    Column("cpu_s", Float(), nullable=False),
    Column("rows", BIG, nullable=False),
    Column("bytes", BIG, nullable=False),
    Column("detail", JSON(), nullable=False),
    Index("refresh_cost_by_product", "product", "at"),
)

# One data-health score, with what it was made of.
health = Table(
    "health",
    metadata,
    text("product", primary_key=True),
    Column("at", UtcDateTime(), primary_key=True),
    Column("score", Float(), nullable=False),
    Column("detail", JSON(), nullable=False),
)

# How far something has read, committed with what it made of that; and when it was last alive.
bookmark = Table(
    "bookmark",
    metadata,
    text("name", primary_key=True),
    text("value"),
    moment("at"),
)
