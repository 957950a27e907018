"""The hand-offs between the DAGs, by name: EVENTS → MARTS → ONLINE_FEATURES → CHAMPION."""

from airflow.sdk import Asset

EVENTS = Asset(name="events", uri="freshet://lake/events")
"""Accepted events, items and users in the lake."""

MARTS = Asset(name="marts", uri="freshet://warehouse/marts")
"""The dbt marts, built and tested, exported as Parquet for everybody else."""

ONLINE_FEATURES = Asset(name="online_features", uri="freshet://feast/online_features")
"""Feast's registry and online store, up to date with the marts."""

CHAMPION = Asset(name="champion", uri="freshet://mlflow/freshet-recommender@champion")
"""The registered model version that serving answers with."""

WAREHOUSE_POOL = "warehouse"
"""DuckDB has one writer: a pool of one slot, taken by every task that writes the warehouse."""
