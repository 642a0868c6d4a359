"""Tables of the operations database, as the newest migration leaves them; it must not know what is done with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

from dataproducts.database import Branch, UtcDateTime

metadata = MetaData()

BRANCH = Branch(
    name="operations database",
    metadata=metadata,
    revisions=("0001",),
    scripts=Path(__file__).parent / "migrations",
    lock=0x6F706572_6174696F,  # "operatio"
    absent="Build a product first.",
)

_BIG = BigInteger().with_variant(Integer(), "sqlite")


def _text(name: str, **options: Any) -> Column[Any]:
    return Column(name, Text(), nullable=False, **options)


def _moment(name: str) -> Column[Any]:
    return Column(name, UtcDateTime(), nullable=False)


def _maybe(name: str) -> Column[Any]:
    return Column(name, UtcDateTime())


# One thing that is wrong, however often it is seen. `fingerprint` says what it is; one incident each, reopened.
incident = Table(
    "incident",
    metadata,
    _text("id", primary_key=True),
    _text("fingerprint"),
    _text("product"),
    _text("table_name"),
    _text("kind"),
    _text("subject"),
    _text("severity"),
    _text("state"),  # open, acknowledged or resolved
    _text("title"),
    _text("owner"),
    _text("assignee"),
    _moment("failed_at"),  # when it went wrong, as far as is known, in its current episode
    _moment("opened_at"),  # when it was detected, in its current episode
    _maybe("notified_at"),
    _maybe("acknowledged_at"),
    _maybe("resolved_at"),
    _maybe("muted_until"),
    _maybe("seen_at"),
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
    Column("id", _BIG, primary_key=True, autoincrement=True),
    _text("incident_id"),
    _moment("at"),
    _text("kind"),
    _text("actor"),
    Column("detail", JSON(), nullable=False),
    ForeignKeyConstraint(["incident_id"], ["incident.id"], name="event_of_incident"),
    Index("incident_event_by_incident", "incident_id", "id"),
)

# The outbox: what is to be said to whom through which channel. `key` is the idempotency key, sent along.
notice = Table(
    "notice",
    metadata,
    Column("id", _BIG, primary_key=True, autoincrement=True),
    _text("key"),
    _text("incident_id"),  # empty for what is about no incident
    Column("episode", Integer(), nullable=False),  # of the incident; 0 for what is about none
    _text("product"),
    _text("kind"),  # opened, reopened, worsened, escalated, recovered, deprecated, retired, breaking, digest …
    _text("severity"),
    _text("recipient"),  # a name of the directory
    _text("channel"),  # a channel of it: never the address, which may hold a secret
    _text("subject"),
    _text("body"),
    Column("facts", JSON(), nullable=False),  # the same for programs
    _text("digest"),  # the digest that it waits for, or the key of the digest that it went with
    _text("state"),  # waiting, joined (to a digest), sent, cancelled or dropped
    _text("held"),  # why it is not due: quiet, muted, or nothing
    _moment("created_at"),
    _moment("due_at"),
    _maybe("sent_at"),
    Column("attempts", Integer(), nullable=False),
    _text("last_error"),
    _maybe("failing_since"),
    _text("lease"),  # whoever is sending it
    _maybe("leased_until"),
    UniqueConstraint("key", name="one_notice_a_key"),
    Index("notice_by_state", "state", "due_at"),
    Index("notice_by_incident", "incident_id"),
)

# A step of a product's lifecycle, or a review of it. Never changed.
transition = Table(
    "transition",
    metadata,
    Column("id", _BIG, primary_key=True, autoincrement=True),
    _text("product"),
    _text("version"),
    _text("kind"),  # promote, deprecate, retire, reinstate or review
    _text("from_status"),
    _text("to_status"),
    _moment("at"),
    _text("actor"),
    _text("reason"),
    Column("detail", JSON(), nullable=False),
    Index("transition_by_product", "product", "id"),
)

# What an objective was measured to be: one row a measurement.
measurement = Table(
    "measurement",
    metadata,
    Column("id", _BIG, primary_key=True, autoincrement=True),
    _text("product"),
    _text("objective"),
    _moment("at"),
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
    Column("id", _BIG, primary_key=True, autoincrement=True),
    _text("product"),
    _text("subject"),
    _text("kind"),
    _moment("at"),
    Column("ok", Boolean(), nullable=False),
    Column("value", Float()),
    Column("detail", JSON(), nullable=False),
    Index("probe_by_subject", "product", "kind", "subject", "id"),
)

# What a refresh cost, and how it ended.
refresh_cost = Table(
    "refresh_cost",
    metadata,
    _text("refresh_id", primary_key=True),
    _text("product", primary_key=True),
    _moment("at"),
    _text("outcome"),  # released, refused, failed
    Column("wall_s", Float(), nullable=False),
    Column("cpu_s", Float(), nullable=False),
    Column("rows", _BIG, nullable=False),
    Column("bytes", _BIG, nullable=False),
    Column("detail", JSON(), nullable=False),
    Index("refresh_cost_by_product", "product", "at"),
)

# One data-health score, with what it was made of.
health = Table(
    "health",
    metadata,
    _text("product", primary_key=True),
    Column("at", UtcDateTime(), primary_key=True),
    Column("score", Float(), nullable=False),
    Column("detail", JSON(), nullable=False),
)

# How far something has read, committed with what it made of that; and when it was last alive.
bookmark = Table(
    "bookmark",
    metadata,
    _text("name", primary_key=True),
    _text("value"),
    _moment("at"),
)
