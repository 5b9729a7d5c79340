"""The page of a report and its pictures, from points that a formula made."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autellix_bench import report
from autellix_bench.report import lanes, latencies, systems
from autellix_bench.report.drawing import DARK, Plot, Theme, png
from autellix_bench.report.html import element
from autellix_bench.report.sections import live, optimum, throughput, timeline
from autellix_bench.timeline import Stretch
from bench_points import a_point, a_run, curve, every_experiment

HOSTILE = "<script>alert('&')</script>"
PICTURES = (
    "fairness-mixed",
    "latency-mixed",
    "live-mixed",
    "makespan-mixed",
    "optimum-mixed",
    "overhead",
    "placement-mixed-made-up-2",
    "placement-mixed-made-up-4",
    "scale-out",
    "throughput-mixed",
    "timeline-levels",
    "timeline-programs",
)
SYSTEMS = ("vllm-opt", "mlfq", "atlas", "srpt")


class Page(HTMLParser):
    """What a test asks of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def values(self, attribute: str) -> list[str]:
        """Of this attribute, wherever it is."""
        return [value for _, attributes in self.tags if (value := attributes.get(attribute))]


@pytest.fixture(scope="module")
def plots() -> dict[str, Plot]:
    """Every plot of the report, as it was handed over to be drawn."""
    return {}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, plots: dict[str, Plot]) -> Path:
    """A report whose pictures are not drawn: that takes longer than all else."""

    def undrawn(plot: Plot, theme: Theme) -> bytes:
        plots[plot.name] = plot
        return f"{plot.name}, {theme.name}".encode()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "png", undrawn)
        return report.write(
            every_experiment(3, workloads=("mixed",), systems=SYSTEMS),
            facts={"Command": f"make bench {HOSTILE}"},
            out=tmp_path_factory.mktemp("report"),
            stretches=a_run(300),
            reasons={"makespan.memory": f"No {HOSTILE} memory."},
        )


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return Page(written.read_text("utf-8"))


def test_every_picture_is_in_the_page_and_beside_it(written: Path, page: Page) -> None:
    assert {file.stem for file in written.parent.glob("*.png")} == set(PICTURES)
    assert {attributes["id"] for tag, attributes in page.tags if tag == "figure"} == {f"figure-{n}" for n in PICTURES}
    shown = {base64.b64decode(uri.partition(",")[2]).decode() for uri in page.values("src")}
    assert shown == {f"{name}, {theme}" for name in PICTURES for theme in ("light", "dark")}
    assert {file.read_text() for file in written.parent.glob("*.png")} == {f"{name}, light" for name in PICTURES}


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_can_be_drawn(name: str, plots: dict[str, Plot]) -> None:
    drawn = png(plots[name], DARK)
    assert drawn.startswith(b"\x89PNG")
    assert b"Software" not in drawn
    assert b"date" not in drawn


def test_every_picture_is_said_in_words(page: Page) -> None:
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")


def test_the_page_needs_nothing_from_anywhere(written: Path, page: Page) -> None:
    assert all(value.startswith("data:image/png;base64,") for value in page.values("src"))
    assert not page.values("srcset")
    assert all(value.startswith("#") or value == "data:," for value in page.values("href"))
    text = written.read_text("utf-8")
    assert not any(word in text for word in ("http://", "https://", "@import", "url("))


def test_the_contents_lead_somewhere(page: Page) -> None:
    places = page.values("id")
    assert len(set(places)) == len(places)
    assert {link.removeprefix("#") for link in page.values("href") if link.startswith("#")} <= set(places)


def test_what_was_given_is_escaped(page: Page) -> None:
    assert not any(tag == "script" for tag, _ in page.tags)
    assert f"make bench {HOSTILE}" in page.words
    assert f"No {HOSTILE} memory." in page.words


def test_a_difference_without_a_reason_says_so(page: Page) -> None:
    assert "Not explained yet." in page.words


def test_each_claim_stands_in_the_summary_and_at_its_picture(page: Page) -> None:
    assert page.words.count("Mixed: up to 15x the throughput") == 2
    assert page.words.count("ShareGPT: up to 8x the throughput") == 1


def test_programs_that_failed_are_in_the_caption(page: Page) -> None:
    assert "LiteLLM Proxy 6 of 600" in page.words


def test_what_a_live_run_counted_beside_latencies_is_shown(page: Page) -> None:
    assert "schedule_slip" in page.words
    assert "0.02 (0.01 to 0.03)" in page.words


def test_a_reason_for_no_claim_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Reasons for nonsense"):
        report.write([], facts={}, out=tmp_path, reasons={"nonsense": "because"})


def test_nothing_measured_is_a_page_that_says_so(tmp_path: Path) -> None:
    page = Page(report.write([], facts={}, out=tmp_path).read_text("utf-8"))
    assert page.words.count("there are no points for it") == 9
    assert "no run's timeline was given" in page.words
    assert not page.values("src")
    assert [file.name for file in tmp_path.iterdir()] == ["index.html"]


def test_a_system_nobody_knows_and_an_odd_name_are_shown(tmp_path: Path) -> None:
    point = a_point(experiment="live", system=HOSTILE, workload="a/b c", profile="live")
    page = Page(report.write([point], facts={}, out=tmp_path).read_text("utf-8"))
    assert HOSTILE in page.words
    assert (tmp_path / "live-a-b-c.png").exists()


def test_the_same_points_give_the_same_bytes(tmp_path: Path) -> None:
    points = [a_point(experiment="live", system=s, seed=n) for s in ("litellm", "autellix") for n in range(2)]
    for folder, given_points in (("one", points), ("two", list(reversed(points)))):
        report.write(given_points, facts={}, out=tmp_path / folder)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name


def test_infinite_latencies_are_left_out_of_pictures() -> None:
    points = [a_point(rate=1.0), replace(a_point(rate=2.0), mean_s=math.inf)]
    assert latencies.read_off(points, "Mean") == ([1.0], [[0.1]])
    assert latencies.read_off(points, "P95")[0] == [1.0, 2.0]


def test_nothing_finite_is_a_picture_all_the_same() -> None:
    points = [replace(a_point(experiment="live"), mean_s=math.inf, p95_s=math.inf, p99_s=math.inf)]
    section = live.section(points)
    assert section is not None
    assert png(section.plots[0], DARK).startswith(b"\x89PNG")


def test_the_gap_at_a_single_rate_is_a_picture_of_rows() -> None:
    latencies_s = {"vllm-opt": 0.4, "mlfq": 0.3, "atlas": 0.2, "srpt": 0.1}
    section = optimum.section([a_point(experiment="optimum", system=one, mean_s=s) for one, s in latencies_s.items()])
    assert section is not None
    assert "1 programs/s" in section.plots[0].caption
    (latency, closed) = section.plots[0].draw(DARK).axes
    names = [systems.look(one).name for one in latencies_s]
    assert [label.get_text() for label in latency.get_yticklabels()] == names
    shares = [float(np.asarray(line.get_xdata())[0]) for line in closed.lines if line.get_marker() in ("^", "o")]
    assert shares == pytest.approx([1 / 3, 2 / 3])


def test_a_system_that_is_ahead_of_ours_everywhere_has_a_bar_and_the_optimum_a_row() -> None:
    capacities = {"atlas": 1.0, "continuum": 9.0, "srpt": 9.5}
    points = [
        a_point(system=system, seed=seed, rate=0.1 * step, mean_s=curve(capacity, 0.1 * step))
        for system, capacity in capacities.items()
        for seed in range(3)
        for step in range(1, 12)
    ]
    section = throughput.section(points)
    assert section is not None
    (panel,) = section.plots[0].draw(DARK).axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ["Continuum-like"]
    assert any(text.get_text().startswith("≤ ") for text in panel.texts)
    assert [row[0] for row in section.tables[0].rows] == ["Continuum-like", "SRPT, knows the future"]


def test_a_stretch_of_no_length_is_a_picture_all_the_same() -> None:
    section = timeline.section([Stretch("p", "mixed", "c", "engine-0", 0, 1.0, 1.0)])
    assert section is not None
    assert png(section.plots[0], DARK).startswith(b"\x89PNG")


def test_the_trace_holds_every_stretch_on_a_lane_of_its_engine(written: Path) -> None:
    trace = json.loads((written.parent / "trace.json").read_text("utf-8"))
    events = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    named = {event["pid"]: event["args"]["name"] for event in trace["traceEvents"] if event["name"] == "process_name"}
    stretches = a_run(300)
    assert len(events) == len(stretches)
    assert {(named[event["pid"]], event["args"]["call"]) for event in events} == {(s.engine, s.call) for s in stretches}
    first = min(stretches, key=lambda stretch: (stretch.engine, stretch.began_s))
    assert (events[0]["ts"], events[0]["args"]["level"]) == (round(first.began_s * 1e6), first.level)
    lanes_named = {(event["pid"], event["tid"]) for event in trace["traceEvents"] if event["name"] == "thread_name"}
    assert {(event["pid"], event["tid"]) for event in events} == lanes_named


TIMES = st.tuples(st.integers(0, 40), st.integers(1, 10)).map(lambda t: (float(t[0]), float(t[0] + t[1])))


@settings(deadline=None)
@given(st.lists(TIMES, min_size=1, max_size=40))
def test_lanes_hold_no_overlap_and_are_as_few_as_can_be(times: list[tuple[float, float]]) -> None:
    placed = lanes.laid_out(Stretch("p", "mixed", f"c{n}", "e", 0, *time) for n, time in enumerate(times))
    by_lane: dict[int, list[Stretch]] = {}
    for lane, stretch in placed:
        by_lane.setdefault(lane, []).append(stretch)
    for group in by_lane.values():
        assert all(one.ended_s <= next_one.began_s for one, next_one in pairwise(group))
    most = max(sum(began <= at < ended for began, ended in times) for at, _ in times)
    assert len(by_lane) == most
    assert set(by_lane) == set(range(most))


def test_the_window_is_in_the_middle() -> None:
    stretches = [Stretch("p", "mixed", f"c{n}", "e", 0, float(n), n + 1.0) for n in range(100)]
    assert lanes.window(stretches, most=11) == (44.0, 54.0)
    assert lanes.window(stretches, most=1000) == (0.0, 100.0)


def test_systems_look_different_and_ours_alone_are_vermilion() -> None:
    known = [systems.look(system) for system in (*SYSTEMS, "plas", "vllm", "las-gateway", "thunderagent", "continuum")]
    assert len({(look.colour, look.dash) for look in known}) == len(known)
    assert {look.name for look in known if look.colour == "#d55e00"} == {look.name for look in known if look.ours}
    assert systems.ordered(["srpt", "atlas", "unknown", "vllm"]) == ["vllm", "unknown", "atlas", "srpt"]


def test_markup_escapes_text_and_attributes_but_not_markup() -> None:
    inner = element("b", "<&>")
    assert element("p", inner, "<", title='"') == '<p title="&quot;"><b>&lt;&amp;&gt;</b>&lt;</p>'
    assert element("img", src="a") == '<img src="a">'
