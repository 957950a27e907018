"""Airflow's command line with Cosmos and our settings in memory, for the scheduler: it forks every task from itself.

A build has a task for every model. Reading these modules anew in each of them took a fifth of the whole build's time.
"""

import cosmos.airflow.task_group
import cosmos.operators.watcher  # noqa: F401
from airflow.__main__ import main

import freshet.dbt_project  # noqa: F401

if __name__ == "__main__":
    main()
