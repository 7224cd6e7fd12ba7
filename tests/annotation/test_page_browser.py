"""The page in a browser: headless Chromium, driven by Playwright."""

import json
import re
import shutil

import pytest
from desks import ROWS, TEXTS, desk_of

from lit_react.annotation.page import Page
from lit_react.annotation.page.tokens import tokens_of
from lit_react.tasks.text_classification import ClassificationTask

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytest.importorskip("uvicorn", reason="the extra `page` is not installed")
pytestmark = pytest.mark.browser
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 30_000
"""Milliseconds, for machines that do other things as well."""
playwright.expect.set_options(timeout=PATIENCE)
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=1</script>&lt;b&gt;'


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(executable_path=CHROMIUM)
        except playwright.Error as error:
            pytest.skip(f"no Chromium is there (apt-get install chromium): {str(error).splitlines()[0]}")
        yield browser
        browser.close()


class Site:
    """A run's page that is served, and its desk."""

    def __init__(self, chromium, folder, task, rows, annotators, **of_desk):
        self.chromium, self.folder, self.errors = chromium, folder, []
        self.desk, self.ledger = desk_of(folder, task, rows, **of_desk)
        self.page = Page(port=0, annotators=annotators)
        self.page.open(folder, self.desk)
        self.page.board.begin([])

    def visit(self, who="ann", **options):
        """The page in a browser of its own, once it shows a question."""
        tab = self.chromium.new_context(**options).new_page()
        tab.set_default_timeout(PATIENCE)
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
        tab.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        token = tokens_of(self.folder, self.page.annotators)[who]
        tab.goto(f"http://127.0.0.1:{self.page.port}/#{token}")
        tab.locator("#card").wait_for()
        return tab

    def given(self, id, who="ann"):
        return self.desk.find(id).answers[who]


@pytest.fixture
def serve(chromium, tmp_path):
    sites = []

    def serve(name="topics", task=None, rows=None, annotators=("ann", "bob"), **of_desk):
        task, rows = task or ROWS[name][0], rows or ROWS[name][1]
        sites.append(Site(chromium, tmp_path, task, rows, annotators, **of_desk))
        return sites[-1]

    yield serve
    for site in sites:
        site.page.close()
        site.ledger.close()
        assert site.errors == []


def shows(tab, text):
    playwright.expect(tab.locator("#text")).to_have_text(text)


def test_keys_label_skip_undo_and_a_reload_goes_on(serve):
    site = serve(guess={"tech": 0.7, "sport": 0.2})
    tab = site.visit()
    shows(tab, TEXTS[0])
    tab.keyboard.press("2")
    shows(tab, TEXTS[1])
    tab.keyboard.press("n")
    tab.keyboard.type("hard 1")
    tab.keyboard.press("Escape")
    tab.keyboard.press("1")
    shows(tab, TEXTS[2])
    tab.reload()
    shows(tab, TEXTS[2])
    tab.keyboard.press("s")
    shows(tab, TEXTS[3])
    playwright.expect(tab.locator("#counts")).to_have_text("3 of 6 in this query · 2 labels in all")
    tab.keyboard.press("u")
    shows(tab, TEXTS[2])
    assert [site.given(f"pool-{row}").label for row in (0, 1)] == [1, 0]
    assert site.given("pool-1").note == "hard 1"
    assert not site.desk.find("pool-2").answers
    tab.get_by_text("Your earlier answers").click()
    tab.get_by_role("button", name=f"Change tech: {TEXTS[0]}").click()
    shows(tab, TEXTS[0])
    assert tab.get_by_role("button", name="tech", pressed=True).is_visible()
    tab.get_by_role("button", name="politics").click()
    shows(tab, TEXTS[2])
    assert site.given("pool-0").label == 2


def test_suggestions_can_be_hidden_and_stay_so(serve):
    tab = serve(guess={"tech": 0.7}).visit()
    assert tab.get_by_text("70 %").is_visible()
    tab.keyboard.press("h")
    assert not tab.get_by_text("70 %").is_visible()
    tab.reload()
    shows(tab, TEXTS[0])
    assert not tab.get_by_text("70 %").is_visible()


def test_two_annotators_share_a_query_and_see_it_end(serve):
    site = serve(asked=2)
    ann, bob = site.visit("ann"), site.visit("bob")
    shows(ann, TEXTS[0])
    shows(bob, TEXTS[1])
    playwright.expect(bob.locator("#annotator")).to_have_text("bob")
    ann.keyboard.press("1")
    playwright.expect(ann.get_by_role("heading", name="Others have the last texts")).to_be_visible()
    bob.keyboard.press("2")
    playwright.expect(bob.get_by_role("heading", name="This query is answered")).to_be_visible()
    assert (site.given("pool-0", "ann").label, site.given("pool-1", "bob").label) == (0, 1)
    assert site.page.board.complete.is_set()
    result = {"round": 0, "labels": 2, "metric": "accuracy", "value": 0.5}
    site.page.board.results = [result, result | {"round": 1, "value": 0.625}]
    site.page.board.learning = True
    told = "Learning from 2 labels … Round 1 learned from 2 labels: accuracy 62.5 % (+12.5)"
    playwright.expect(ann.locator("#run")).to_have_text(told)
    ann.keyboard.press("u")
    shows(ann, TEXTS[0])


def test_a_class_that_is_missing_is_named_and_confirmed(serve):
    site = serve()
    tab = site.visit()
    tab.get_by_text("None of these: a new class").click()
    field = tab.get_by_label("Name of the new class")
    field.fill("tehc")
    field.press("Enter")
    playwright.expect(tab.get_by_role("button", name="It is “tech”")).to_be_visible()
    field.fill(HOSTILE[:20])
    field.press("Enter")
    tab.get_by_role("button", name="is new").click()
    shows(tab, TEXTS[1])
    assert site.given("pool-0").new_class == HOSTILE[:20].strip()
    tab.get_by_text("None of these: a new class").click()
    field.fill("tehc")
    tab.get_by_role("button", name="Look up").click()
    tab.get_by_role("button", name="It is “tech”").click()
    shows(tab, TEXTS[2])
    assert site.given("pool-1").label == 1


def test_150_classes_are_searched(serve):
    names = [
        f"{verb} {thing} {n}" for verb in ("lost", "stolen", "late") for thing in ("card", "pin") for n in range(25)
    ]
    site = serve(task=ClassificationTask(label_names=names), guess={"late pin 7": 0.6})
    tab = site.visit()
    assert tab.locator(".choice").count() == 150
    playwright.expect(tab.locator(".choice").first).to_contain_text("late pin 7")
    tab.keyboard.press("/")
    tab.keyboard.type("STOLEN CARD 1")
    tab.keyboard.press("ArrowDown")
    assert tab.locator(".choice:focus .name").inner_text() == "stolen card 1"
    tab.locator("input[type=search]").press("Enter")
    shows(tab, TEXTS[1])
    assert site.given("pool-0").label == names.index("stolen card 1")


def test_sets_are_checked_and_saved_with_enter(serve):
    site = serve("sets")
    tab = site.visit()
    tab.keyboard.press("3")
    tab.get_by_label("sport").check()
    tab.keyboard.press("Enter")
    shows(tab, TEXTS[1])
    tab.keyboard.press("Enter")
    shows(tab, TEXTS[2])
    assert [site.given(f"pool-{row}").label for row in (0, 1)] == [[0, 2], []]


def test_entities_are_marked_by_mouse_and_by_keyboard(serve):
    site = serve("entities")
    tab = site.visit()
    word = lambda place: tab.locator(f"[data-word='{place}']")  # noqa: E731
    word(0).hover()
    tab.mouse.down()
    word(1).hover()
    tab.mouse.up()
    tab.get_by_role("button", name="PER", exact=True).click()
    word(4).click()
    tab.keyboard.press("2")
    word(6).focus()
    word(6).click()
    tab.keyboard.press("Shift+ArrowRight")
    tab.keyboard.press("2")
    playwright.expect(tab.locator("mark")).to_have_count(3)
    tab.get_by_role("button", name="Remove LOC").first.click()
    playwright.expect(tab.locator("mark")).to_have_count(2)
    tab.reload()
    playwright.expect(tab.locator("mark")).to_have_count(2)
    tab.get_by_role("button", name="Save").click()
    tab.locator("#rest").wait_for()
    assert site.given("pool-0").label == [1, 2, 0, 0, 0, 0, 3, 4, 0]


def test_entities_are_tapped_on_a_phone(serve):
    site = serve("entities")
    tab = site.visit(viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    for place in (6, 7):
        tab.locator(f"[data-word='{place}']").tap()
    tab.get_by_role("button", name="LOC", exact=True).tap()
    tab.get_by_role("button", name="Save").tap()
    tab.locator("#rest").wait_for()
    assert site.given("pool-0").label == [0, 0, 0, 0, 0, 0, 3, 4, 0]


def test_an_answer_is_marked_in_its_context(serve):
    site = serve("answers")
    tab = site.visit()
    tab.get_by_role("option", name="Oslo").nth(1).click()
    assert tab.get_by_text("Answer: Oslo").is_visible()
    tab.keyboard.press("Enter")
    tab.locator("#rest").wait_for()
    label = site.given("pool-0").label
    assert label == {"start": ROWS["answers"][1][0]["context"].rindex("Oslo"), "text": "Oslo"}


def test_a_text_is_written_and_a_draft_outlives_a_reload(serve):
    site = serve("summaries")
    tab = site.visit()
    tab.keyboard.type("u s 1 A match.")
    tab.reload()
    playwright.expect(tab.get_by_label("Your text")).to_have_value("u s 1 A match.")
    tab.keyboard.press("Control+Enter")
    tab.locator("#rest").wait_for()
    assert site.given("pool-0").label == "u s 1 A match."


def test_mentions_of_a_relation_are_highlighted(serve):
    tab = serve("relations").visit()
    assert [tab.locator(f"mark.{name}").inner_text() for name in ("e1", "e2")] == ["storm", "delay"]
    assert "<e1>" not in tab.locator("#text").inner_text()
    tab.keyboard.press("1")
    tab.locator("#rest").wait_for()


@pytest.mark.parametrize("name", ["topics", "entities", "answers", "relations"])
def test_hostile_texts_and_names_are_text(serve, name):
    task, (row, *_) = ROWS[name]
    mark = "<e1> a </e1> <e2> b </e2> " if name == "relations" else ""
    row = {key: [HOSTILE, "ends"] if isinstance(value, list) else f"{mark}{HOSTILE} ends" for key, value in row.items()}
    task = task.named([HOSTILE, "other"]) if task.has_classes else task
    site = serve(task=task, rows=[row], annotators=[HOSTILE[:60], "ann"], guess={HOSTILE: 0.5})
    tab = site.visit(HOSTILE[:60])
    assert tab.locator("#text").inner_text().endswith("ends")
    assert HOSTILE in tab.locator("#text").inner_text()
    assert tab.locator("#annotator").inner_text() == HOSTILE[:60]
    assert tab.locator("#card img, #card script, header img[src=x]").count() == 0
    assert tab.title() == "Label · lit-react"


@pytest.mark.parametrize("name", ROWS)
def test_nothing_is_wider_than_a_phone_and_every_control_has_a_name(serve, name):
    task, (row, *_) = ROWS[name]
    row = {key: value if isinstance(value, list) else f"{value} {'long' * 40}" for key, value in row.items()}
    tab = serve(task=task, rows=[row]).visit(viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    assert tab.evaluate("document.documentElement.scrollWidth") == 360
    named = (
        "e => e.innerText.trim() || e.getAttribute('aria-label') || [...(e.labels ?? [])].map(l => l.innerText).join()"
    )
    controls = tab.locator(
        "button:visible, input:visible, textarea:visible, [role]:visible:not([role=status], [role=alert])"
    )
    names = [control.evaluate(named) for control in controls.all()]
    assert len(names) > 2
    assert all(names)
    small = [box for box in (each.bounding_box() for each in tab.locator("button.choice, .tools button").all()) if box]
    assert all(box["height"] >= 44 for box in small)


def test_a_link_that_is_not_valid_and_a_server_that_is_gone_are_told_of(serve):
    site = serve()
    tab = site.visit()
    site.page.close()
    tab.keyboard.press("1")
    problem = tab.locator("#problem")
    playwright.expect(problem).to_contain_text(re.compile("does not answer: the run has ended, or was stopped"))
    shows(tab, TEXTS[0])
    site.errors.clear()  # the browser's own line on a refused connection


def test_whoever_waits_reads_how_the_run_ended(serve):
    site = serve(asked=1)
    tab = site.visit()
    tab.keyboard.press("1")
    playwright.expect(tab.locator("#rest-title")).to_have_text("This query is answered")
    entry = {"round": 0, "shown": ["accuracy"], "labeled": 1, "metrics": {"test/accuracy": 0.87}}
    (site.folder / "result.json").write_text(json.dumps({"rounds": [entry]}))
    site.page.close("the budget is spent")
    playwright.expect(tab.locator("#rest-title")).to_have_text("The run has ended: the budget is spent")
    playwright.expect(tab.locator("#rest-text")).to_have_text("1 label, accuracy 87.0 %. You can close this page.")
    assert tab.get_by_role("button").all() == []
    site.errors.clear()
