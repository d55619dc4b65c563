"""What reads the metrics, dashboard and scaler, asks for nothing that a worker does not tell."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from scrape import told

from producer.queues import QUEUE_OF
from worker.readiness import Readiness

CHECKOUT = Path(__file__).parents[3]
DASHBOARD = json.loads((CHECKOUT / "docker/grafana/voicefarm.json").read_text())
SCALING = (CHECKOUT / "docs/scaling.md").read_text()

TOLD = told()

#: Labels that Prometheus itself adds to each scrape.
SCRAPED = {"instance", "job"}


def block(language: str) -> str:
    """The code of a language in the page about scaling."""
    return re.search(rf"^```{language}\n(.*?)^```$", SCALING, re.MULTILINE | re.DOTALL)[1]


def plain(expression: str) -> str:
    """An expression on one line."""
    return " ".join(expression.split())


def scaled_object() -> dict[str, Any]:
    return yaml.safe_load(block("yaml"))


def targets() -> list[tuple[str, str, str]]:
    """Every panel's title with each of its expressions and its legend."""
    return [
        (panel["title"], target["expr"], target.get("legendFormat", ""))
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", [])
    ]


def metrics_of(expression: str) -> set[str]:
    return set(re.findall(r"\bvoicefarm_\w+", expression))


def labels_of(expression: str) -> set[str]:
    """The labels by which an expression groups or chooses."""
    groups = re.findall(r"\b(?:by|without|on|ignoring) \(([^)]*)\)", expression)
    chosen = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression)
    return {label.strip() for group in groups for label in group.split(",")} | set(chosen)


EXPRESSIONS = [
    *(expression for _, expression, _ in targets()),
    plain(block("promql")),
    *(
        trigger["metadata"]["query"]
        for trigger in scaled_object()["spec"]["triggers"]
        if trigger["type"] == "prometheus"
    ),
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_and_label_that_is_asked_for_is_told(expression):
    asked = metrics_of(expression)

    assert asked
    assert asked <= set(TOLD)
    known = set.union(*(TOLD[name] for name in asked))
    assert labels_of(expression) <= known | SCRAPED


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_expression_is_closed_and_rates_are_of_counters(expression):
    assert expression.count("(") == expression.count(")")
    assert expression.count("{") == expression.count("}")
    counted = re.findall(r"\b(?:rate|increase)\((\w+)\[", expression)
    assert all(name.endswith("_total") for name in counted)
    bare = metrics_of(expression) - set(counted)
    assert not any(name.endswith("_total") for name in bare)


@pytest.mark.parametrize(("title", "expression", "legend"), targets())
def test_a_legend_names_labels_that_the_expression_keeps(title, expression, legend):
    named = set(re.findall(r"{{(\w+)}}", legend))
    grouped = labels_of(expression)

    assert named <= (grouped or SCRAPED | set().union(*(TOLD[m] for m in metrics_of(expression))))


def test_every_metric_has_its_place_on_the_dashboard():
    shown = set().union(*(metrics_of(expression) for _, expression, _ in targets()))

    # The state of each worker is shown by their number.
    assert set(TOLD) - shown == {"voicefarm_worker_state"}


def test_the_states_that_are_chosen_exist():
    chosen = re.findall(r'state=\\?"(\w+)\\?"', json.dumps(DASHBOARD))

    assert chosen
    assert set(chosen) <= {state.value for state in Readiness}


def test_no_panel_lies_upon_another_and_each_has_its_own_number():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)

    def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        return not (beside or below)

    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert not any(overlap(*pair) for pair in combinations(places, 2))


def test_every_panel_asks_the_chosen_prometheus():
    asked = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"] if panel["type"] != "row"}

    assert asked == {"${datasource}"}
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource"]


def test_the_scaled_object_asks_what_the_page_explains_and_is_woken_by_both_queues():
    found = scaled_object()
    spec = found["spec"]

    assert (found["apiVersion"], found["kind"]) == ("keda.sh/v1alpha1", "ScaledObject")
    by_type: dict[str, list[dict[str, str]]] = {"prometheus": [], "redis": []}
    for trigger in spec["triggers"]:
        by_type[trigger["type"]].append(trigger["metadata"])
    assert [plain(one["query"]) for one in by_type["prometheus"]] == [plain(block("promql"))]
    assert {one["listName"] for one in by_type["redis"]} == set(QUEUE_OF.values())
    assert 0 == spec["minReplicaCount"] < spec["maxReplicaCount"]
    # KEDA reads these as text alone.
    assert all(
        isinstance(value, str)
        for kind in by_type.values()
        for one in kind
        for value in one.values()
    )
