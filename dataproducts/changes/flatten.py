"""A file as clauses under addresses that survive reordering: pass one of three; it must not compare anything.

Entries of lists are addressed by what names them, not by their place. The grading table says where to stop: below a
clause that it grades as a whole, nothing is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dataproducts.changes.derive import ENDS, identity, is_classified, make, summary
from dataproducts.changes.grading import order_of
from dataproducts.changes.model import Clause
from dataproducts.changes.steps import canonical
from dataproducts.declare.fields import entries, text

if TYPE_CHECKING:
    from dataproducts.declare.positions import Document
    from dataproducts.declare.telling import Place

_COLUMN = "contract.schema[].properties[]"
_INNER = ("items", "map", "key", "value")


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where the walk is: path and address so far, the place in the file, and what lies around it."""

    path: str
    address: str = ""
    place: Place = ()
    within: tuple[str, ...] = ()
    table: str = ""
    column: str = ""
    hidden: bool = False

    def below(self, key: str, *place: str | int) -> _Spot:
        address = f"{self.address}.{key}" if self.address else key
        return replace(self, path=f"{self.path}.{key}", address=address, place=(*self.place, *(place or (key,))))


@dataclass(slots=True)
class _Walk:
    """One file on its way into clauses."""

    document: Document
    default_element: str = ""
    is_alone: bool = True
    found: dict[str, Clause] = field(default_factory=dict)

    def keep(self, spot: _Spot, value: Any, *, is_item: bool = False, near: Any = None) -> str:
        """Keep a clause, and return its address, which is made unique."""
        address, count = spot.address, 1
        while address in self.found:
            count += 1
            address = f"{spot.address}#{count}"
        self.found[address] = Clause(
            address,
            spot.path,
            value,
            self.document.mark(*spot.place),
            spot.within,
            is_item,
            spot.table,
            spot.column,
            spot.hidden,
            near,
        )
        return address

    def entry(self, data: dict[str, Any], spot: _Spot) -> None:
        """Walk what stands at `spot`: first what its keys make together, then the rest, key by key."""
        made, rest = make(spot.path, data)
        for name, value, place in made:
            self.keep(spot.below(name, *place), value)
        for key, value in rest.items():
            if value is not None:
                self.key(str(key), value, spot)

    def key(self, key: str, value: Any, spot: _Spot) -> None:
        below = spot.below(key)
        if spot.path == _COLUMN and key == "properties":
            below = replace(below, path="contract.schema[].properties")
        elif spot.path == _COLUMN and key in _INNER and isinstance(value, dict):
            self.inner(value, replace(below, path=_COLUMN), key)
            return
        order = order_of(below.path)
        if key == "customProperties" and isinstance(value, list) and order != "any":
            self.customs(value, below)
        elif (
            isinstance(value, list)
            and order_of(f"{below.path}[]") == "item"
            and value
            and all(isinstance(v, dict) for v in value)
        ):
            self.items(key, value, below)
        elif order is not None and order != "item":
            self.keep(below, value)
        elif value in ([], {}):
            return  # an empty list declares no entry
        elif isinstance(value, dict):
            self.entry(value, below)
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            self.items(key, value, below)
        else:
            self.keep(below, value)

    def inner(self, value: dict[str, Any], spot: _Spot, key: str) -> None:
        """Walk the items of a list, or the two sides of a map: columns without a name."""
        if key == "map":
            for side in ("key", "value"):
                if isinstance(value.get(side), dict):
                    below = replace(spot.below(side), path=_COLUMN)
                    self.inner(value[side], below, side)
            return
        spot = replace(spot, hidden=spot.hidden or is_classified(value))
        self.entry(value, spot)

    def items(self, key: str, value: list[Any], spot: _Spot) -> None:
        for at, data in enumerate(value):
            if isinstance(data, dict):
                self.item(key, data, at, spot)

    def item(self, key: str, data: dict[str, Any], at: int, spot: _Spot) -> None:
        name = identity(key, data, self.default_element)
        here = replace(spot, path=f"{spot.path}[]", address=f"{spot.address}[{name or at}]", place=(*spot.place, at))
        if here.path == "contract.slaProperties[]" and text(data, "property") in ENDS:
            here = replace(here, path="contract.slaProperties[end]")
            self.keep(here, data.get("value"))
            return
        if here.path == "contract.schema[]":
            here = replace(here, table=text(data, "name"))
            if self.is_alone:  # a contract of one table is the same contract when the table has another name
                here = replace(here, address="schema")
        if here.path == _COLUMN:
            column = f"{spot.column}.{name}" if spot.column else name
            here = replace(here, column=column, hidden=spot.hidden or is_classified(data))
        address = self.keep(here, summary(here.path, data), is_item=True, near=_near(here.path, data, at))
        self.entry(data, replace(here, address=address, within=(*spot.within, address)))

    def customs(self, value: list[Any], spot: _Spot) -> None:
        """Walk custom properties: each by its name, and within it as far as the grading table goes."""
        for data, (_, at) in entries({"x": value}, "x"):
            name, inner = text(data, "property"), data.get("value")
            place = (*spot.place, at, "value")
            here = replace(spot, path=f"{spot.path}[{name}]", address=f"{spot.address}[{name}]", place=place)
            if order_of(here.path) == "item" and isinstance(inner, dict):
                address = self.keep(here, "", is_item=True)
                self.entry(inner, replace(here, address=address, within=(*spot.within, address)))
            elif inner is not None:
                self.keep(here, inner)


def flatten(document: Document, root: str) -> dict[str, Clause]:
    """Return every clause of a file by its address; `root` is contract, product, slo, access, semantic or design."""
    data = document.data if isinstance(document.data, dict) else {}
    walk = _Walk(document, text(data, "slaDefaultElement"), len(list(entries(data, "schema"))) == 1)
    walk.entry(data, _Spot(root))
    return walk.found


def _near(path: str, data: dict[str, Any], at: int) -> Any:
    """Return what one entry has in common with itself under another name."""
    if path == _COLUMN:
        made, _ = make(path, data)
        return next(value[0] for name, value, _ in made if name == "type"), text(data, "description"), at
    if path == "product.outputPorts[]":
        return text(data, "contractId")
    if path.endswith(".quality[]"):
        made, _ = make(path, data)
        return canonical([[name, value] for name, value, _ in made if name != "enforcement"])
    return None
