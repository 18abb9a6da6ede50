"""The operators' view: figures, their course, and what is missing."""

from typing import Any

from tests.page.views.site import Site

REPORT = {
    "database_up": False,
    "storage_up": True,
    "queues": [
        {
            "system": "stems",
            "kind": "separation",
            "queued": 7,
            "running": 3,
            "oldest_seconds": 41.2,
            "audio_seconds": 1620.0,
        }
    ],
    "pools": [{"name": "Separator", "running": 2, "starting": 1, "target": 4}],
    "speed": [{"system": "stems", "kind": "separation", "times_real_time": 18.4}],
    "failures": [
        {
            "at": "2026-11-27T14:58:00Z",
            "kind": "separation",
            "reason": "weights_unavailable",
            "detail": "The <b>weights</b> can't be downloaded.",
        }
    ],
    "outbox": [],
    "disks": [{"place": "data", "free_bytes": 52_613_349_376, "size_bytes": 10**11}],
}


def test_figures_are_shown_and_refreshed(site: Site, browse: Any) -> None:
    report: dict[str, Any] = dict(REPORT)
    site.answers["/operations"] = lambda: report
    opened = browse(site, "/page/operations")
    for text in (
        "27 minutes",
        "18.4 \u00d7",
        "49 GiB free",
        "does not respond",
    ):
        opened.see(text)
    opened.see("The <b>weights</b> can't be downloaded.")
    opened.page.get_by_role("row", name="Separator 2 1 4").wait_for()
    report["speed"] = [
        {"kind": "separation", "times_real_time": 20},
        {"kind": "analysis", "times_real_time": 1},
    ]
    report["batch_fill_ratio"] = 0.82
    opened.see("20 \u00d7")
    opened.see("82%")
    heads = opened.page.get_by_role("columnheader").all_inner_texts()
    assert heads[2:6] == ["Waiting", "Running", "Oldest waiting", "Audio waiting"]
    opened.page.get_by_role("link", name="Songs").click()
    opened.page.get_by_role("link", name="Operations").click()
    # The course of the figures outlives a look at another view.
    course = opened.page.get_by_role(
        "img",
        name="Throughput of the last 5 minutes, times real time, last ten minutes",
    )
    course.locator("polyline").wait_for(state="attached")
    points = course.locator("polyline").get_attribute("points")
    assert len(points.split()) >= 3


def test_missing_figures_are_said_to_be_unknown(site: Site, browse: Any) -> None:
    site.answers["/operations"] = dict
    opened = browse(site, "/page/operations")
    opened.see("The server could not read this.")
    assert opened.page.locator(".figure .value").all_inner_texts() == ["\u2013"] * 6
    assert opened.page.get_by_text("The server could not read this.").count() == 4


def test_a_refusal_is_said(site: Site, browse: Any) -> None:
    opened = browse(site, "/page/operations")
    opened.see("There is no resource at")


def test_a_connection_that_is_silent_is_said_to_be_lost(
    site: Site, browse: Any
) -> None:
    site.answers["/operations"] = lambda: REPORT
    opened = browse(site)
    opened.page.route("**/operations", lambda route: None, times=1)
    opened.page.route("**/ping", lambda route: route.abort())
    opened.page.clock.install()
    with opened.page.expect_request("**/operations"):
        opened.page.get_by_role("link", name="Operations").click()
    opened.page.clock.run_for(7_000)
    opened.see("The server does not answer.")
    opened.page.clock.run_for(6_000)
    opened.see("27 minutes")


def test_the_figures_come_back_after_a_restart(site: Site, browse: Any) -> None:
    site.answers["/operations"] = lambda: REPORT
    opened = browse(site, "/page/operations")
    opened.see("27 minutes")
    site.stop()
    opened.see("The server does not answer.")
    site.start()
    notice = opened.page.get_by_text("The server does not answer.")
    notice.wait_for(state="hidden")
    opened.see("27 minutes")
