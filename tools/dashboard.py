"""Write the Grafana dashboard of tools/dashboard.yaml to configs/monitoring.

python -m tools.dashboard
"""

import json
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

PATH = Path(__file__).parents[1] / "configs" / "monitoring" / "dashboard.json"
PANELS = Path(__file__).with_suffix(".yaml")

_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_INSTALLATION = 'namespace=~"$namespace"'
# Grafana's grid has 24 columns.
_WIDTH, _HEIGHT, _BESIDE = 8, 8, 3

_VARIABLES = (
    {
        "type": "datasource",
        "name": "datasource",
        "label": "Prometheus",
        "query": "prometheus",
    },
    {
        "type": "query",
        "name": "namespace",
        "label": "Namespace",
        "datasource": _DATASOURCE,
        "query": "label_values(stemserve_build_info, namespace)",
        "refresh": 2,
        "includeAll": True,
        # Also matches series without the label, which only Kubernetes adds.
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    },
)


def text() -> str:
    """Return the dashboard in Grafana's JSON model, to import as it is."""
    dashboard = {
        "uid": "stemserve",
        "title": "stemserve",
        "tags": ["stemserve"],
        "schemaVersion": 38,
        "editable": True,
        "graphTooltip": 1,
        "time": {"from": "now-3h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": _VARIABLES},
        "annotations": {"list": []},
        "panels": list(_placed(yaml.safe_load(PANELS.read_text()))),
    }
    return json.dumps(dashboard, indent=2) + "\n"


def _placed(rows: Mapping[str, list[Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the title of each row and its panels, three beside each other."""
    number, top = 0, 0
    for title, panels in rows.items():
        number += 1
        place = {"x": 0, "y": top, "w": _WIDTH * _BESIDE, "h": 1}
        yield {"id": number, "type": "row", "title": title, "gridPos": place}
        top += 1
        for position, panel in enumerate(panels):
            number += 1
            line, column = divmod(position, _BESIDE)
            corner = {"x": column * _WIDTH, "y": top + line * _HEIGHT}
            place = {**corner, "w": _WIDTH, "h": _HEIGHT}
            yield {"id": number, **_graph(panel), "gridPos": place}
        top += -(-len(panels) // _BESIDE) * _HEIGHT


def _graph(panel: Mapping[str, Any]) -> Mapping[str, Any]:
    targets = [
        {
            "refId": letter,
            "datasource": _DATASOURCE,
            "expr": expression.replace("$in", _INSTALLATION),
            "legendFormat": legend,
        }
        for letter, (legend, expression) in zip(
            string.ascii_uppercase, panel["queries"].items(), strict=False
        )
    ]
    return {
        "type": "timeseries",
        "title": panel["title"],
        "description": panel["help"],
        "datasource": _DATASOURCE,
        "fieldConfig": {
            "defaults": {
                "unit": panel["unit"],
                "min": 0,
                "custom": {"fillOpacity": 10},
            },
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": targets,
    }


if __name__ == "__main__":
    PATH.write_text(text())
