"""Who answers for this project's products, and how each of them is told; it must not know a product.

Everybody is reached at an e-mail address. In `dev` a notice becomes a line of JSON in a file below the store,
`notices/ADDRESS.jsonl`, which needs no server. In `prod` it is sent as `DATAPRODUCTS_MAIL` says.
"""

from __future__ import annotations

import os
from datetime import time, timedelta
from typing import TYPE_CHECKING

from dataproducts.directory import Channel, Digest, Directory, Person, QuietHours, Step, Team
from dataproducts.product import Severity

if TYPE_CHECKING:
    from pathlib import Path

_ZONE = "Europe/Berlin"
_NIGHT = QuietHours(time(22), time(7), _ZONE)
_MORNING = Digest((time(8),), _ZONE, (Severity.INFO,))

_TEAMS = {
    "Point of sale": ("hana.sato", "tomas.okafor"),
    "Customer data": ("maria.lindqvist", "tomas.okafor"),
    "Merchandising data": ("olu.bright", "tomas.okafor"),
    "Analytics engineering": ("lena.fischer", "priya.raman"),
    "Customer insight": ("jonah.weiss", "priya.raman"),
    "Personalisation": ("noor.elamin", "priya.raman"),
    "CRM": ("clara.jensen", "priya.raman"),
    "Campaign analytics": ("clara.jensen", "priya.raman"),
}
_PLATFORM = "Data platform"
_TEAM_AFTER, _LAST = timedelta(hours=1), Step(timedelta(hours=4), _PLATFORM)


def directory(store: Path, *, served: bool) -> Directory:
    """Return everybody; `served` uses what the environment variables name, where they are set.

    - `DATAPRODUCTS_MAIL`: an apprise URL with `{address}` for the recipient's, such as
      `mailtos://user:password@smtp.grocer.example?from=data@grocer.example&to={address}`.
    - `DATAPRODUCTS_ONCALL`: an apprise URL for the platform's rota, such as `pagerduty://…`; mail, if it is not set.
    - `DATAPRODUCTS_DAGSTER`: the address of Dagster's pages, for links to runs; `http://localhost:3000` if not set.
    """
    kept = f"file:{store}/notices/{{address}}.jsonl"
    mail = (os.environ.get("DATAPRODUCTS_MAIL") if served else None) or kept
    oncall = os.environ.get("DATAPRODUCTS_ONCALL") if served else None
    pages = os.environ.get("DATAPRODUCTS_DAGSTER", "http://localhost:3000").rstrip("/")
    people = sorted({name for members in _TEAMS.values() for name in members})
    technical = (_address("priya.raman"), _address("tomas.okafor"))
    return Directory(
        people=tuple(Person(_address(name), quiet=_NIGHT, digest=_MORNING) for name in people),
        teams=(
            *(
                Team(name, tuple(map(_address, members)), escalation=(Step(_TEAM_AFTER, name), _LAST))
                for name, members in _TEAMS.items()
            ),
            Team(_PLATFORM, technical, (Channel("on call", oncall, (Severity.ERROR,)),) if oncall else ()),
        ),
        operator=_PLATFORM,
        mail=Channel("mail" if mail != kept else "file", mail),
        escalation=(_LAST,),
        run_url=f"{pages}/runs/{{run_id}}",
    )


def _address(name: str) -> str:
    return f"{name}@grocer.example"
