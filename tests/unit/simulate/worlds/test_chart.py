"""The chart of runs."""

from xml.etree import ElementTree as ET

from fakes.worlds import fault_of, small
from pointsman.simulate.worlds.chart import BUCKETS, LEFT, ROW, SHARES, chart
from pointsman.simulate.worlds.results import Run, Served

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*requests: Served) -> ET.Element:
    text = chart(small(fault_of("p1", refuses=True)), {"a & b": [Run(requests, "")]})
    return ET.fromstring(text)


def served(at: float, provider: str) -> Served:
    return Served(at, ttft_s=0.5, is_served=True, provider=provider)


def test_chart_names_routers_and_providers() -> None:
    texts = {one.text for one in drawn(served(1.0, "p1")).iter(f"{SVG}text")}
    assert {"a & b", "p1", "p2", "p3", "failed", "p50", "p99", "0.50 s", "90 s"} <= texts


def test_area_of_a_provider_has_its_share() -> None:
    """A provider that serves every second request of each bucket covers half of the height."""
    requests = [served(at / 10, "p1" if at % 2 else "p2") for at in range(900)]
    polygons = drawn(*requests).findall(f"{SVG}polygon")
    assert len(polygons) == 2
    corners = [tuple(map(float, point.split(","))) for point in polygons[0].attrib["points"].split()]
    assert len(corners) == 4 * BUCKETS
    heights = {round(y) for x, y in corners}
    top = min(y for _, y in [tuple(map(float, p.split(","))) for p in polygons[1].attrib["points"].split()])
    assert heights <= {round(top + ROW), *range(round(top + 0.3 * ROW), round(top + 0.7 * ROW))}
    assert (min(x for x, _ in corners), max(x for x, _ in corners)) == (LEFT, LEFT + SHARES)


def test_failed_requests_and_the_fault_are_drawn() -> None:
    found = drawn(Served(1.0), served(50.0, "p2"))
    assert len(found.findall(f"{SVG}polygon")) == 2
    shaded = [one for one in found.iter(f"{SVG}rect") if one.get("fill-opacity")]
    assert [round(float(one.attrib["width"])) for one in shaded] == [round(SHARES / 3)]
