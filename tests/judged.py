"""Rules judged on any relation in one line, with nothing known of it but what reading shows."""

from __future__ import annotations

from dataproducts.gate import Subject
from dataproducts.gate import judge as judge_subject
from dataproducts.rules.facts import Rows


def judge(con, table, relation, *, lookup, now, rules=None, partitions=None, **beside):
    """Return the results of `rules` on `relation`; `lookup` and `partitions` give SQL."""
    parts = None if partitions is None else {day: Rows(sql) for day, sql in partitions.items()}
    subject = Subject(rows=Rows(relation), now=now, lookup=lambda ref: Rows(lookup(ref)), partitions=parts, **beside)
    return judge_subject(con, table, subject, rules=rules).results
