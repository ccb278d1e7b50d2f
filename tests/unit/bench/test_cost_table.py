"""The figures in the documents are those of the results they name."""

import json
from pathlib import Path

import pytest

from cost_table import COSTS, DOCUMENTS, ROOT, fill, named
from scale import LIVE, LOOPS


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_costs_in_a_document_are_those_of_the_results_that_readme_names(name: str) -> None:
    """To write them: python bench/cost_table.py."""
    readme = (ROOT / "README.md").read_text()
    text = (ROOT / name).read_text()
    assert fill(text, named(readme, "density"), named(readme, "scale")) == text


def test_other_results_change_every_figure(tmp_path: Path) -> None:
    """No figure stays behind that was typed by hand, and the file is named from which they come."""
    readme = (ROOT / "README.md").read_text()
    density, scale = (json.loads(named(readme, name).read_text()) for name in ("density", "scale"))
    for row in density["rows"]:
        row["cpu_percent"], row["memory_mib"], row["failures"] = 7.654, 43.21, []
    for scene in scale["scenes"]:
        for window in scene["windows"]:
            window["host"]["beat_worst_late_ms"] = 98765
    for name, result in (("density", density), ("scale", scale)):
        (tmp_path / f"{name}-0123456789.json").write_text(json.dumps(result))
    filled = fill(readme, tmp_path / "density-0123456789.json", tmp_path / "scale-0123456789.json")
    assert "bench/results/density-0123456789.json" in filled
    assert "bench/results/scale-0123456789.json" in filled
    table = [line for line in filled.splitlines() if line.count("|") == 5 and "7.654 %" in line]
    assert len(table) == sum(line.endswith("MiB |") and line.count("43.21 MiB") == 1 for line in table) > 10
    assert filled.count("98765 ms late") == len([one for one in scale["scenes"] if "before" not in one["name"]])


def test_the_results_that_readme_names_have_all_rows_and_each_of_ours_was_sound() -> None:
    """A table of a part of a run is not shown, nor one in which we, or the floor, did not carry all streams."""
    readme = (ROOT / "README.md").read_text()
    density, scale = (json.loads(named(readme, name).read_text()) for name in ("density", "scale"))
    shown = {row for _, *rows in COSTS for row in rows if row is not None}
    assert {row["row"] for row in density["rows"]} >= shown
    assert {scene["kind"] for scene in scale["scenes"]} == {LOOPS, LIVE}
    ours = [row for row in density["rows"] if row["row"].startswith(("live", "RTMP source", "list", "floor"))]
    assert [failure for one in (*ours, *scale["scenes"]) for failure in one["failures"]] == []


def test_a_row_that_was_not_sound_shows_no_cost(tmp_path: Path) -> None:
    """A peer that could not keep up is said to be so."""
    readme = (ROOT / "README.md").read_text()
    density = json.loads(named(readme, "density").read_text())
    for row in density["rows"]:
        row["failures"] = ["a stream advanced 1 ms in 4 s"] if row["row"] == "haproxy bursts" else []
    (tmp_path / "density-0123456789.json").write_text(json.dumps(density))
    filled = fill(readme, tmp_path / "density-0123456789.json", named(readme, "scale"))
    assert filled.count("too slow") == 1
