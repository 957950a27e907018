"""The small client of Airflow's API against a server that answers as Airflow on SQLite did."""

import json
from urllib.parse import unquote

import pytest

from freshet.airflow_api import AirflowApi
from freshet.settings import Settings
from tests.http_handler import Handler


class LockedOnce(Handler):
    """Makes the run that is asked for, but answers with an error; knows it when it is asked again."""

    def do_POST(self):
        asked = json.loads(self.body())["dag_run_id"]
        self.server.asked.append(asked)
        self.answer(500 if len(self.server.asked) == 1 else self.server.then, {"dag_run_id": asked})

    def do_GET(self):
        run_id = unquote(self.path.rsplit("/", 1)[1])
        run = {
            "dag_run_id": run_id,
            "state": "queued",
            "queued_at": "2026-03-01T00:00:00Z",
            "start_date": None,
            "end_date": None,
            "duration": None,
        }
        self.answer(200 if run_id in self.server.asked else 404, run)


@pytest.fixture
def server(listen):
    server = listen(LockedOnce)
    server.asked = []
    return server


@pytest.mark.parametrize("then", [200, 409])
def test_a_run_that_a_locked_database_refused_is_asked_for_again_by_the_same_name(server, tmp_path, then):
    server.then = then
    api = AirflowApi(Settings(home=tmp_path, airflow_port=server.server_port))
    run_id = api.trigger("build_marts")
    assert server.asked == [run_id, run_id]
