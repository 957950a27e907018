"""Airflow on one machine: the environment and the command line of its processes."""

import json
import os
import sys

from freshet import lineage
from freshet.airflow_api import PASSWORDS_FILE, USER
from freshet.settings import PROJECT_ROOT, Settings


def airflow_environment(settings: Settings) -> dict[str, str]:
    """Variables for every Airflow process: loopback, this home, our DAGs, and nothing sent to anybody."""
    return {
        "AIRFLOW_HOME": str(settings.airflow_dir),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT_ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(settings.airflow_dir / PASSWORDS_FILE),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{settings.airflow_url}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(settings.airflow_port),
        "AIRFLOW__API__BASE_URL": settings.airflow_url,
        "AIRFLOW__API__WORKERS": "1",
        **_patience_with_sqlite(),
        # A laptop that slept or was switched off comes back within a minute, not after five.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "60",
        # A file that has changed is read again at once; this is for the others.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__LOGGING__DAG_PROCESSOR_LOG_TARGET": "file",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(lineage.transport(settings)),
        "AIRFLOW__OPENLINEAGE__NAMESPACE": lineage.NAMESPACE,
        "AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD": "True",
        # `report_build` tells what each model read and wrote; that somebody watched it is no news.
        "AIRFLOW__OPENLINEAGE__EMISSION_POLICY": json.dumps(
            [
                {"scope": {"operator": f"cosmos.operators.watcher.Dbt{kind}Operator"}, "controls": {"emit": False}}
                for kind in ("ProducerWatcher", "RunWatcher")
            ]
        ),
        "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
        # A second try builds the whole again (dags/build_marts.py), so what the first one said need not be kept.
        "AIRFLOW__COSMOS__ENABLE_WATCHER_RELIABLE_RETRY": "False",
        "AIRFLOW__COSMOS__CACHE_DIR": str(settings.airflow_dir / "cosmos"),
        # Tasks and the DAG processor import the project's packages (commands, dags, training …).
        "PYTHONPATH": os.pathsep.join(filter(None, [str(PROJECT_ROOT), os.environ.get("PYTHONPATH")])),
    }


def _patience_with_sqlite() -> dict[str, str]:
    """Longer waits for the database's lock; not for another database, which has its own words for it."""
    if "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in os.environ:
        return {}
    names = ("SQL_ALCHEMY_CONNECT_ARGS", "SQL_ALCHEMY_CONNECT_ARGS_ASYNC")
    return {f"AIRFLOW__DATABASE__{name}": "freshet.airflow_database.CONNECT_ARGS" for name in names}


def airflow_command(*arguments: str) -> list[str]:
    """The command line of one Airflow process, from the same environment as this one."""
    return [sys.executable, "-m", "airflow", *arguments]
