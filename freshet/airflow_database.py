"""How Airflow's processes open its SQLite database; Airflow imports this by name, so it imports nothing itself."""

CONNECT_ARGS = {"timeout": 60.0}
"""Seconds that a writer waits for another one. Five, the default, are not enough on a busy machine."""
