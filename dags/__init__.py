"""When batch work runs."""
