"""Results that travel: what a gate found, as JSON, JUnit XML, OpenLineage events or Data Docs; it must not judge."""
