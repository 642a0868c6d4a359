"""Who is to be told of an incident or an announcement; it must not know how a notice is worded or sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dataproducts.directory import Route
from dataproducts.finding import FindingKind
from dataproducts.product import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dataproducts.directory import Channel, Directory, Recipient
    from dataproducts.operations.incidents import Incident
    from dataproducts.product import DataProduct

    Observed = Callable[[str], Sequence[Mapping[str, Any]]]
    """Given a product's address, who was seen to read it, in the shape of declared consumers."""

OWNER, CONSUMER = "owner", "consumer"

# What concerns those who read the tables: a refused refresh alone does not, since they keep the last good release.
_BREACHES = frozenset(
    {FindingKind.STALE, FindingKind.MISSING, FindingKind.BURN_RATE, FindingKind.BUDGET, FindingKind.ACCESS}
)
_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Target:
    """One recipient on one channel, told as an `owner`, or as a `consumer` with what is known of its use."""

    recipient: Recipient
    channel: Channel
    audience: str = OWNER
    use: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)


def nobody(_product: str) -> Sequence[Mapping[str, Any]]:
    """Return no consumer: what is observed where no port tells who reads."""
    return ()


def owners(incident: Incident, directory: Directory, product: DataProduct | None) -> tuple[Target, ...]:
    """Return whom to tell first: the assignee, else owner, team or operator, who can be told; and whom a route adds."""
    named = [incident.assignee, incident.owner, product.team if product else "", directory.operator]
    first = next((found for name in named if (found := _reached(directory, name, incident.severity))), [])
    added = [
        target
        for route in directory.routes
        if route.matches(incident.product, incident.kind, incident.severity)
        for target in _reached(directory, route.to, incident.severity)
    ]
    return _once([*first, *added])


def reached(directory: Directory, name: str, severity: Severity) -> tuple[Target, ...]:
    """Return how `name` is told of something of this severity; nothing, if no channel takes it."""
    return _once(_reached(directory, name, severity))


def is_breach(incident: Incident) -> bool:
    """Whether a promise to those who read is broken: the data is late, or is wrong where it can be read."""
    if incident.severity is not Severity.ERROR:
        return False
    audited = incident.kind is FindingKind.CHECK and incident.detail.get("published") is True
    return incident.kind in _BREACHES or audited


def readers(
    product: DataProduct,
    directory: Directory,
    *,
    table: str = "",
    severity: Severity = Severity.ERROR,
    observed: Observed = nobody,
) -> tuple[Target, ...]:
    """Return the consumers that can be told: those of the table, or of the whole product if none is given.

    Consumers that name no port read all of it. `observed` adds those who were seen to read. Who has no channel for
    `severity` is told as of an error.
    """
    found = []
    for consumer in (*product.consumers, *observed(product.address)):
        if table and not _reads(product, consumer, table):
            continue
        names = (str(consumer.get("contact") or ""), str(consumer.get("team") or ""))
        ways = _ways(directory, names, severity)
        found += [Target(way.recipient, way.channel, CONSUMER, consumer) for way in ways]
    return _once(found)


def owners_downstream(
    address: str, directory: Directory, products: Iterable[DataProduct], *, table: str = "", severity: Severity
) -> tuple[Target, ...]:
    """Return the owners, or else the teams, of the products that read `address`, as its consumers."""
    found = []
    for product in downstream(address, products, table):
        names = (product.owner.username if product.owner else "", product.team)
        ways = _ways(directory, names, severity)
        use = {"persona": f"owner of {product.address}", "team": product.team}
        found += [Target(way.recipient, way.channel, CONSUMER, use) for way in ways]
    return _once(found)


def downstream(address: str, products: Iterable[DataProduct], table: str = "") -> tuple[DataProduct, ...]:
    """Return the products that read `address`, or one table of it."""
    return tuple(
        product
        for product in products
        if any(
            port.source and port.source.product == address and table in ("", port.source.table)
            for port in product.inputs
        )
    )


def unreachable(directory: Directory, products: Iterable[DataProduct]) -> tuple[str, ...]:
    """Return, as sentences, which owners and consumers the directory cannot reach."""
    found = []
    for product in products:
        owner = product.owner.username if product.owner else ""
        if not any(_reached(directory, name, Severity.ERROR) for name in (owner, product.team)):
            found.append(f"{product.address}: neither its owner {owner!r} nor its team {product.team!r} can be told.")
        for consumer in product.consumers:
            names = [str(consumer.get(key) or "") for key in ("contact", "team")]
            if not any(_reached(directory, name, Severity.ERROR) for name in names):
                who = consumer.get("persona") or consumer.get("team") or "a consumer"
                found.append(f"{product.address}: its consumer {who} cannot be told: no channel for {names[0]!r}.")
    return tuple(found)


def operators(directory: Directory) -> tuple[Target, ...]:
    """Return who is told that what watches has stopped."""
    to = [Route(directory.operator)] if directory.operator else []
    ways = [r for r in directory.routes if r.kinds and r.matches("", FindingKind.WATCHDOG, Severity.ERROR)]
    return _once(target for route in (*to, *ways) for target in _reached(directory, route.to, Severity.ERROR))


def _reached(directory: Directory, name: str, severity: Severity) -> list[Target]:
    people = directory.recipients(name) if name else ()
    return [Target(person, channel) for person in people for channel in person.taking(severity)]


def _ways(directory: Directory, names: Iterable[str], severity: Severity) -> list[Target]:
    """Return how the first of `names` that can be told is told."""
    asked = [(name, wanted) for name in names for wanted in (severity, Severity.ERROR)]
    return next((ways for name, wanted in asked if (ways := _reached(directory, name, wanted))), [])


def _reads(product: DataProduct, consumer: Mapping[str, Any], table: str) -> bool:
    port = next((port for port in product.outputs if port.name == consumer.get("port")), None)
    if port is None:
        return True
    return any(one.name == table and one.contract_id == port.contract_id for one in product.tables)


def _once(targets: Iterable[Target]) -> tuple[Target, ...]:
    found: dict[tuple[str, str], Target] = {}
    for target in targets:
        found.setdefault((target.recipient.name, target.channel.name), target)
    return tuple(found.values())
