"""The Grafana dashboard asks for series that the API has: a renamed metric would leave a panel empty, silently."""

import json
import re
from pathlib import Path

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana-dashboard.json"


def test_every_series_of_the_dashboard_is_one_of_the_api(api):
    text = api.get("/metrics").text
    known = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    families = {re.sub(r"_total$", "", name) for name in known}
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {
        name
        for panel in panels
        for target in panel["targets"]
        for name in re.findall(r"\bfreshet_[a-z_]+", target["expr"])
    }
    assert asked
    assert {re.sub(r"_(total|bucket)$", "", name) for name in asked} <= families


def test_no_two_panels_overlap():
    cells = [
        (x, y)
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
