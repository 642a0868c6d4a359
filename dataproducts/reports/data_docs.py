"""Data Docs of great-expectations for the suites of custom rules; it must not judge, or show what is classified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataproducts.errors import StoreError
from dataproducts.rules.custom.great_expectations import import_gx

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from dataproducts.rules.custom.great_expectations import Validation

_SITE = "dataproducts"


def write_data_docs(folder: Path, validations: Sequence[Validation], *, at: datetime) -> Path:
    """Render GX's pages of `validations` into `folder` and return their index; other files there stay.

    Raises: StoreError, if the folder cannot be written.
    """
    gx = import_gx()
    from great_expectations.core.run_identifier import RunIdentifier  # noqa: PLC0415 - seconds, as GX itself
    from great_expectations.data_context.types.resource_identifiers import (  # noqa: PLC0415 - as above
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    context = gx.get_context(mode="ephemeral")
    backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.absolute())}
    index = {"class_name": "DefaultSiteIndexBuilder"}
    site = {"class_name": "SiteBuilder", "show_how_to_buttons": False, "store_backend": backend}
    run = RunIdentifier(run_name=f"{at:%Y-%m-%d %H:%M:%S}", run_time=at)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        context.add_data_docs_site(_SITE, site | {"site_index_builder": index})
        for one in validations:
            suite = ExpectationSuiteIdentifier(one.suite.name)
            context.suites.add(one.suite)
            one.result.meta.update(run_id=run, validation_time=run.run_time)
            context.validation_results_store.store_validation_results(
                suite_validation_result=one.result,
                suite_validation_result_identifier=ValidationResultIdentifier(suite, run, one.table),
                expectation_suite_identifier=suite,
            )
        context.build_data_docs(site_names=[_SITE])
    except OSError as error:
        raise StoreError(f"{folder}: the Data Docs cannot be written ({error.strerror or error})") from error
    return folder / "index.html"
