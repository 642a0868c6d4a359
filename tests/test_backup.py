"""The backup of a host whose incidents, notices and lifecycle are in a database of their own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.deployment import Deployment, on_a_host

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def host() -> Iterator[Deployment]:
    """Return a host that is installed, with a third database."""
    with on_a_host() as made:
        made.follow("Install")
        settings = made.root / "etc/dataproducts/production.env"
        own = re.sub("(?m)^(DATAPRODUCTS_OPERATIONS=.*@/)dataproducts", r"\1operations", settings.read_text("utf-8"))
        settings.write_text(own, encoding="utf-8")
        yield made


def test_operations_in_a_database_of_their_own_are_backed_up(host: Deployment) -> None:
    """What is known of incidents can be restored from the copy, like the ledger; one shared database is copied once."""
    for name in ("dataproducts", "dagster", "operations"):
        host.type_in(f"createdb {name}")
    host.type_in("dataproducts migrate")
    host.type_in("psql --quiet operations --command \"INSERT INTO bookmark VALUES ('mine', 'kept', now())\"")
    host.type_in('mkdir -p "$DATAPRODUCTS_STORE/data"')
    host.type_in("systemctl start dataproducts-backup.service")
    last = host.root / "var/backups/dataproducts/last"
    assert {"dagster.dump", "dataproducts.dump", "files.tar", "operations.dump"} == {one.name for one in last.iterdir()}
    host.type_in("dropdb operations")
    host.type_in("createdb operations")
    copy = "/var/backups/dataproducts/last/operations.dump"
    host.type_in(f"pg_restore --no-owner --exit-on-error --dbname operations {copy}")
    read = host.type_in("psql --tuples-only --no-align operations --command 'SELECT value FROM bookmark'")
    assert "kept" == read.strip()
    host.type_in("sed -i s,@/operations,@/dataproducts, /etc/dataproducts/production.env")
    host.type_in("dataproducts migrate")
    host.type_in("systemctl start dataproducts-backup.service")
    assert {"dagster.dump", "dataproducts.dump", "files.tar"} == {one.name for one in last.iterdir()}
