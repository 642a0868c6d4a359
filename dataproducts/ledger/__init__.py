"""The ledger of refreshes and releases, the only place that knows SQLAlchemy; it must not touch files of the store."""

from dataproducts.ledger.expire import Expired, Retention
from dataproducts.ledger.ledger import Ledger, migrate
from dataproducts.ledger.rows import Attempt, ReleasedContract

__all__ = ["Attempt", "Expired", "Ledger", "ReleasedContract", "Retention", "migrate"]
