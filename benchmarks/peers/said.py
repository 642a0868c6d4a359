"""How a contender tells its verdict: one line of JSON, the last that it prints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def say(counts: Mapping[str, int | bool | None]) -> None:
    """Print what was found of each rule: the number of rejected rows, or whether it failed if no number is told.

    A rule that is absent was not judged.
    """
    print(json.dumps(dict(counts)))
