-- Nothing is lost: what landed was accepted, a duplicate or rejected, and the lake holds exactly what the ledger says.
select *
from {{ ref("fct_ingestion_counts") }}
where
    n_landed != n_accepted + n_duplicate + n_rejected
    or n_accepted != n_accepted_in_lake
    or n_rejected != n_rejected_in_lake
