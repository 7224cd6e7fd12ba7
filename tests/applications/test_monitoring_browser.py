"""The page of trends in headless Chromium."""

import shutil

import pytest
from streams import post, posts, shares, watched, write

from lit_react.applications.trends import write_trends

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytestmark = pytest.mark.browser
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = 'bad banks <img src=x onerror="document.title=1"><script>document.title=1</script>'


def test_a_point_leads_to_its_posts_and_nothing_in_them_runs(tmp_path):
    rows = [*posts(), post(14 * 24, HOSTILE)]
    monitor = watched(tmp_path / "watch", write(tmp_path / "posts.jsonl", rows))
    write_trends(monitor, shares())
    with playwright.sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(executable_path=CHROMIUM)
        except playwright.Error as error:
            pytest.skip(f"no Chromium is there (apt-get install chromium): {str(error).splitlines()[0]}")
        page = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((tmp_path / "watch" / "trends.html").as_uri())
        page.locator("svg a").first.click()
        section = page.locator("section:target")
        assert "banks" in section.inner_text()
        assert section.locator("p").count() > 0
        assert page.locator("p.alert").count() == len(monitor.alerts()) > 0
        assert page.locator(f"text={HOSTILE[:20]}").count() > 0
        assert page.title() == "Opinion by topic"
        assert not errors
        browser.close()
