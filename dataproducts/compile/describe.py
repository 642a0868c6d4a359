"""What Dagster shows of a product: keys, owners, tags, schemas, lineage; it must not know how anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg

from dataproducts.inputs import Input, transform_inputs
from dataproducts.lifecycle.states import stand
from dataproducts.product import Status
from dataproducts.transforms.lineage import column_lineage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dataproducts.product import Column, DataProduct, Mark, Rule, Table

RELEASE = "release"


def product_path(address: str) -> list[str]:
    """Return the asset-key prefix of the product at `address`: domain, and name with `_v2` from major 2 on."""
    domain, _, name = address.partition("/")
    return [domain, name.replace("@", "_")]


def table_key(address: str, table: str) -> dg.AssetKey:
    """Return the asset key of `table` of the product at `address`."""
    return dg.AssetKey([*product_path(address), table])


def release_key(address: str) -> dg.AssetKey:
    """Return the asset key of the release of the product at `address`."""
    return table_key(address, RELEASE)


def source_key(address: str, server: str) -> dg.AssetKey:
    """Return the asset key that stands for a source which the product at `address` reads."""
    return dg.AssetKey([*product_path(address), "source", server])


def group_name(address: str) -> str:
    """Return the hierarchical group of a product: `domain/product` (Dagster allows neither `-` nor `.` in it)."""
    return "/".join(part.replace("-", "_").replace(".", "_") for part in product_path(address))


def owners(product: DataProduct) -> list[str]:
    """Return who answers for the product, as Dagster wants it: e-mail of the owner, then the team."""
    people = [member.username for member in product.members if member.role == "owner"]
    return [*people, *([f"team:{product.team}"] if product.team else [])]


def tags(product: DataProduct) -> dict[str, str]:
    """Return the tags that every asset of the product carries."""
    return {
        "domain": product.domain,
        "product": product.name,
        "layer": str(product.layer),
        "lifecycle": str(product.status),
        "tier": str(product.tier or "none"),
    }


def product_metadata(product: DataProduct) -> dict[str, Any]:
    """Return what the product declares about itself, for every asset of its group."""
    facts: dict[str, Any] = {
        "product": product.address,
        "product_version": product.version,
        "purpose": product.purpose,
        "audience": ", ".join(product.audience),
        "value_measure": product.value_measure,
    }
    if product.sunset:
        facts["sunset_date"] = product.sunset.isoformat()
    if product.status in {Status.DEPRECATED, Status.RETIRED}:
        facts["lifecycle_warning"] = stand(product.address, product, None, production=False).warning
    return {name: value for name, value in facts.items() if value}


def table_metadata(product: DataProduct, table: Table, *, root: Path, schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Return schema, lineage, contract, promises and the place of declaration of one table.

    `schemas` maps each relation that the transform reads to its columns and their types.
    """
    slas = "\n".join(f"- {sla.name}: {sla.value} {sla.unit} {sla.element}".rstrip() for sla in table.slas)
    return {
        **product_metadata(product),
        "contract": f"{table.contract_id} {table.contract_version}",
        "dagster/column_schema": dg.TableSchema(
            columns=[_column(column) for column in table.columns],
            constraints=dg.TableConstraints(other=_table_constraints(table)),
        ),
        "dagster/column_lineage": dg.TableColumnLineage(_lineage(product, table, schemas)),
        "dagster/code_references": code_reference(table.mark, root),
        "dagster/table_name": f"{product.address}.{table.name}",
        "dagster/storage_kind": "parquet",
        **({"sla": dg.MetadataValue.md(slas)} if slas else {}),
    }


def code_reference(mark: Mark, root: Path) -> dg.CodeReferencesMetadataValue:
    """Return a link from an asset to the line that declares it."""
    reference = dg.LocalFileCodeReference(file_path=str(root / mark.path), line_number=mark.line, label=str(mark))
    return dg.CodeReferencesMetadataValue(code_references=[reference])


def check_spec(product: DataProduct, table: Table, rule: Rule) -> dg.AssetCheckSpec:
    """Return the asset check of one declared rule; blocking is enforced by the release, and shown here."""
    return dg.AssetCheckSpec(
        rule.name,
        asset=table_key(product.address, table.name),
        description=rule.description or f"{rule.dimension}: {rule.kind} of {', '.join(rule.columns) or table.name}",
        blocking=rule.blocking,
        metadata={
            "dimension": str(rule.dimension),
            "severity": str(rule.severity),
            "criticality": rule.criticality,
            "threshold": str(rule.threshold),
            "on_failure": str(rule.on_failure),
            "declared_at": str(rule.mark),
            "owner": product.owner.username if product.owner else "",
        },
    )


def _column(column: Column) -> dg.TableColumn:
    other = [f"{name}: {value}" for name, value in column.options.items()]
    if column.enum:
        other.append(f"one of {', '.join(str(value) for value in column.enum)}")
    if column.primary_key:
        other.append(f"primary key {column.primary_key}")
    labels = {"classification": column.classification, "term": _slug(column.term)}
    return dg.TableColumn(
        name=column.name,
        type=column.sql_type,
        description=column.description or None,
        constraints=dg.TableColumnConstraints(
            nullable=not (column.required or column.primary_key), unique=column.unique, other=other
        ),
        tags={name: value for name, value in labels.items() if value},
    )


def _slug(text: str) -> str:
    """Text as a Dagster tag value: at most 63 letters, digits, `_`, `.`, `-`."""
    return "".join(char if char.isascii() and (char.isalnum() or char in "_.-") else "_" for char in text)[:63]


def _table_constraints(table: Table) -> list[str]:
    key = [f"primary key ({', '.join(table.primary_key)})"] if table.primary_key else []
    return key + [f"{rule.name}: {rule.description}" for rule in table.rules if rule.description and not rule.columns]


def _lineage(product: DataProduct, table: Table, schemas: Mapping[str, Any]) -> dict[str, list[dg.TableColumnDep]]:
    keys = {read.name: input_key(product, read) for read in transform_inputs(product, table)}
    return {
        column: [
            dg.TableColumnDep(asset_key=keys[relation], column_name=name)
            for relation, name in sources
            if keys[relation]
        ]
        for column, sources in column_lineage(table, schemas).items()
    }


def input_key(product: DataProduct, read: Input) -> dg.AssetKey:
    """Return the asset key of the table or source that a table reads."""
    if read.sibling:
        return table_key(product.address, read.sibling)
    if read.port:
        return (
            table_key(read.port.source.product, read.port.source.table)
            if read.port.source
            else dg.AssetKey(["contract", read.port.contract_id.replace("/", "_")])
        )
    return source_key(product.address, read.name)
