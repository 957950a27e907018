"""The exported marts: what everybody reads who must never open the warehouse."""

from pathlib import Path

import duckdb
import pyarrow.parquet as pq


def marts_are_behind(home: Path) -> bool:
    """Whether the lake holds an ingestion that the exported marts do not know yet."""
    counts = home / "features" / "fct_ingestion_counts.parquet"
    if not counts.exists():
        return True
    columns = "source, record_type, sum(n_accepted)::bigint, sum(n_duplicate)::bigint, sum(n_rejected)::bigint"
    query = f"""
        with lake as (select {columns} from read_parquet($ledger) group by 1, 2),
        marts as (select {columns} from read_parquet($counts) group by 1, 2)
        from lake except from marts
    """  # noqa: S608  (the columns stand two lines above)
    paths = {"ledger": str(home / "lake" / "ingestions" / "*.parquet"), "counts": str(counts)}
    with duckdb.connect() as connection:
        return connection.execute(query, paths).fetchone() is not None


def exported_rows(home: Path) -> dict[str, int]:
    """The rows of every exported mart, from the files' footers."""
    exports = sorted((home / "features").glob("*.parquet"))
    return {path.stem: pq.ParquetFile(path).metadata.num_rows for path in exports}
