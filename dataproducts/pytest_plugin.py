"""A pytest plugin that runs the unit tests of transforms; it must not import dagster."""
