"""A consumer who looks every few milliseconds: what he sees of the published tables; it runs under any tool's Python.

Usage: `python read.py FILE SCHEMA LATE_LIMIT EVERY_S`. It says `ready` after its first look, reads until its standard
input ends and then prints JSON. It imports DuckDB alone, because a peer's environment has nothing else of this project.
"""

from __future__ import annotations

import json
import select
import sys
import time
from pathlib import Path
from typing import Any

import duckdb

_LOOK = """
SELECT
    (SELECT max(purchase_date) FROM {s}purchase_fact),
    (SELECT count(*) FROM {s}purchase_fact WHERE sales_value < 0),
    (SELECT count(*) FROM {s}purchase_fact),
    (SELECT max(as_of) FROM {s}household_value),
    (SELECT max(as_of) FROM {s}category_pairs),
    (SELECT count(*) FROM {s}category_pairs WHERE baskets_together > {limit})
"""


def look(file: str, schema: str, limit: int) -> dict[str, Any]:
    """Read the three tables once, in one statement, and say what was seen.

    `state` is seen, locked (a writer has the file) or absent (a file or table is missing). `bad` counts rows that a
    check rejects, `mixed` says whether the tables are of different days.
    """
    if not Path(file).exists():
        return {"state": "absent", "why": "no file"}
    try:
        with duckdb.connect(file, read_only=True) as con:
            row = con.execute(_LOOK.format(s=f"{schema}." if schema else "", limit=limit)).fetchall()[0]
    except (duckdb.Error, RuntimeError) as error:
        why = str(error)
        locked = "lock" in why.lower()
        return {"state": "locked" if locked else "absent", "why": why.splitlines()[0][:200]}
    fact, negative, rows, value, pairs, crowded = row
    days = [str(day) for day in (fact, value, pairs)]
    return {
        "state": "seen",
        "bad": negative + crowded,
        "mixed": len(set(days)) > 1,
        "rows": rows,
        "days": days,
    }


def watch(file: str, schema: str, limit: int, every_s: float) -> dict[str, Any]:
    """Look until standard input ends, and return how often what was seen, and for how long nothing could be."""
    counts = {"looks": 0, "seen": 0, "bad": 0, "mixed": 0, "locked": 0, "absent": 0}
    blind_s = longest_s = 0.0
    since: float | None = None
    why = ""
    while True:
        began = time.perf_counter()
        found = look(file, schema, limit)
        counts["looks"] += 1
        counts[found["state"]] += 1
        if found["state"] == "seen":
            counts["bad"] += bool(found["bad"])
            counts["mixed"] += found["mixed"]
            since = None
        else:
            why = why or found["why"]
            since = began if since is None else since
        if counts["looks"] == 1:
            print("ready", flush=True)  # now the run may begin
        ended = bool(select.select([sys.stdin], [], [], every_s)[0])
        if since is not None:
            now = time.perf_counter()
            longest_s = max(longest_s, now - since)
            blind_s += now - began
        if ended:
            return {**counts, "blind_s": blind_s, "longest_blind_s": longest_s, "why_blind": why}


if __name__ == "__main__":
    _file, _schema, _limit, _every = sys.argv[1:]
    print(json.dumps(watch(_file, _schema, int(_limit), float(_every))))
