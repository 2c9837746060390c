"""The naming page in a real browser: what a person sees after what a person does."""

from __future__ import annotations

import csv
import io
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sgseg.app import Naming
from sgseg.inference.splits import name_table
from tests.app.browser import Tab, browser, demand_browser, served
from tests.app.painted import by_colour, paint, painting, segmenter_of


@pytest.fixture(scope="module", name="page")
def page_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str, Path]]:
    """A browser, the address of the page on painted images, and the file it saves to."""
    demand_browser()
    folder = tmp_path_factory.mktemp("page")
    paint(folder / "images", 3)
    (folder / "images/broken<b>.png").write_bytes(b"no image")
    segmenter = segmenter_of(by_colour(folder), folder)
    address = served(Naming(segmenter, folder / "images"), folder / "names.json")
    with browser() as driver:
        yield driver, address, folder / "names.json"


def test_a_person_names_clusters(page: tuple[Any, str, Path]) -> None:
    """Click, name, join, undo, split, save, download; a second tab follows."""
    driver, address, names_file = page
    tab = Tab(driver, address)
    assert "broken<b>.png: cannot be decoded" in tab.text("body")  # as text, not as a tag
    elsewhere = driver.execute_script(
        "return performance.getEntriesByType('resource').map(e => e.name)"
    )
    assert elsewhere and all(url.startswith(("data:", "blob:", address)) for url in elsewhere)

    tab.until(lambda: tab.one("#right img").get_attribute("naturalWidth") == "64")
    tab.click_pixel("#right", 0.25, 0.25)  # the upper left block of image 0 is red
    tab.until(lambda: "Cluster 0, cluster_0" in tab.text("#found"))

    before = tab.pixels("#right")
    tab.write(0, "warm", leave=True)
    tab.until(lambda: "Cluster 0 is warm." in tab.text("#status"))
    tab.write(2, "warm")
    tab.until(lambda: "one class with 2" in tab.text("#head-0"))
    blocks = painting(0)
    tab.until(lambda: not np.array_equal(tab.pixels("#right"), before))
    joined = tab.pixels("#right")
    sure = np.abs(joined[blocks == 0].mean(0) - joined[blocks == 3].mean(0))
    assert sure.max() < np.abs(before[blocks == 0].mean(0) - before[blocks == 3].mean(0)).max()
    tab.click("#undo")
    tab.until(lambda: tab.name(2) == "cluster_2" and "one class" not in tab.text("#head-0"))

    tab.write(2, "   ")
    tab.until(lambda: "a name is empty" in tab.text("#status .bad"))
    tab.until(lambda: tab.name(2) == "cluster_2")

    tab.click("#choose-1")
    tab.until(lambda: "Cluster 1, cluster_1" in tab.text("#found"))
    tab.click("#split")
    tab.until(lambda: "Cluster 1 is now 1.1, 1.2." in tab.text("#status"))
    tab.until(lambda: tab.name(1) == "cluster_1 1" and tab.name(3) == "cluster_2")

    first, names = tab.handle, [tab.name(slot) for slot in range(4)]
    driver.switch_to.new_window("tab")
    second = Tab(driver, address)
    second.until(lambda: [second.name(slot) for slot in range(4)] == names)
    second.write(3, "cold")
    second.until(lambda: "Cluster 2 is cold." in second.text("#status"))
    driver.close()
    driver.switch_to.window(first)
    tab.until(lambda: "Changed in another tab" in tab.text("#status") and tab.name(3) == "cold")

    tab.click("#save")
    tab.until(lambda: f"--names {names_file}" in tab.text("#status"))
    table = name_table(names_file, [f"cluster_{value}" for value in range(3)])
    assert list(table.names.values()) == ["warm", "cluster_1 1", "cluster_1 2", "cold"]


def test_downloads_arrive(page: tuple[Any, str, Path]) -> None:
    """The links of the page give the areas of the whole folder, the broken image named."""
    driver, address, _ = page
    tab = Tab(driver, address)
    tab.click("#make")
    tab.until(lambda: "areas of 3 images are ready. 1 could not be read" in tab.text("#status"))
    tab.until(lambda: tab.one("#files a"))
    links = [a.get_attribute("href") for a in driver.find_elements("css selector", "#files a")]
    areas = next(link for link in links if link.endswith("areas.csv"))
    with urllib.request.urlopen(areas) as answer:  # noqa: S310
        rows = list(csv.DictReader(io.StringIO(answer.read().decode())))
    assert {row["image"] for row in rows} == {"000.png", "001.png", "002.png", "all images"}
    assert any(link.endswith("maps.zip") for link in links)


def test_other_hosts_get_no_answer(page: tuple[Any, str, Path]) -> None:
    """A name that somebody made to lead here is refused, and nothing may be fetched elsewhere."""
    _, address, _ = page
    with urllib.request.urlopen(address) as answer:  # noqa: S310
        assert "default-src 'self'" in answer.headers["content-security-policy"]
    request = urllib.request.Request(address, headers={"Host": "evil.example"})  # noqa: S310
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request)  # noqa: S310
