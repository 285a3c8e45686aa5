"""The page in a browser: what one sees, points at and clicks; Debian's chromium, and no network."""

import io
import json
import shutil

import numpy as np
import PIL.Image
import pytest

from tests.lab.show.page import run_folder
from tf_tickets.lab.show.page import write_page

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium or chromium-driver is not installed"
)

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
METRIC = "#chart-metric svg"
# The points of the arms, which say what they are to a screen reader.
POINTS = f"{METRIC} [aria-roledescription='point']"


@pytest.fixture(scope="module")
def address(tmp_path_factory, cache):
    """The page of a run of three rounds, as a browser is told it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_TICKETS_CACHE", str(cache))
        path = tmp_path_factory.mktemp("run")
        return write_page(run_folder.make_run(path, change=run_folder.with_tests)).as_uri()


def start(scripts=True):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("headless=new", "no-sandbox", "disable-gpu", "window-size=1100,900"):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    if not scripts:
        blocked = {"profile.managed_default_content_settings.javascript": 2}
        options.add_experimental_option("prefs", blocked)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))


@pytest.fixture(scope="module")
def browser():
    with start() as driver:
        yield driver


@pytest.fixture
def opened(browser, address):
    """The browser with the page, its charts drawn."""
    browser.get(address)
    until(browser, lambda: all(count(browser, f"#chart-{name} svg") for name in CHARTS))
    return browser


CHARTS = ("metric", "layers", "training")


def until(browser, is_so):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 60).until(lambda _: is_so())


def find(browser, selector):
    return browser.find_element("css selector", selector)


def count(browser, selector):
    return len(browser.find_elements("css selector", selector))


def said(browser, selector=POINTS):
    """Return what the points of a chart say."""
    elements = browser.find_elements("css selector", selector)
    return [element.get_attribute("aria-label") for element in elements]


def click(browser, name, chart="metric"):
    find(browser, f"#controls-{chart} [name='{name}']").click()


def picture(browser):
    """Return a screenshot of what is seen, as (height, width, 3) numbers."""
    png = browser.get_screenshot_as_png()
    return np.asarray(PIL.Image.open(io.BytesIO(png)).convert("RGB"))


def test_it_opens_from_a_file_and_asks_for_nothing_else(opened, address):
    assert [line for line in opened.get_log("browser") if line["level"] != "INFO"] == []
    messages = [json.loads(line["message"])["message"] for line in opened.get_log("performance")]
    asked = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert set(asked) == {address} | {url for url in asked if url.startswith("data:")}
    assert "Lottery tickets" in opened.title


def test_pointing_at_a_point_shows_its_values(opened):
    targets = f"{METRIC} .mark-symbol path"
    point = next(
        element
        for element in opened.find_elements("css selector", targets)
        if "winning" in (element.get_attribute("aria-label") or "")
    )
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", point)
    webdriver.ActionChains(opened).move_to_element(point).perform()
    until(opened, lambda: count(opened, "#vg-tooltip-element.visible"))
    shown = find(opened, "#vg-tooltip-element").text
    assert "winning: rewound weights" in shown and "3 seeds" in shown and "±" in shown


def test_a_click_on_the_legend_switches_an_arm_off_and_on(opened):
    assert any(label.startswith("random") for label in said(opened))
    click(opened, "show_2")
    until(opened, lambda: not any(label.startswith("random") for label in said(opened)))
    assert any(label.startswith("winning") for label in said(opened))
    click(opened, "show_2")
    until(opened, lambda: any(label.startswith("random") for label in said(opened)))


def test_the_legend_is_worked_by_keys(opened):
    switch = find(opened, "#controls-metric [name='show_1']")
    switch.send_keys(" ")
    until(opened, lambda: not any(label.startswith("winning") for label in said(opened)))


def test_another_metric_and_other_images_are_chosen_from_lists(opened):
    from selenium.webdriver.support.ui import Select

    title = lambda: find(opened, f"{METRIC} .role-title").text  # noqa: E731
    assert "Fréchet classifier distance" in title() and "lower is better" in title()
    before = said(opened)
    Select(find(opened, "#controls-metric [name='images']")).select_by_visible_text("test")
    until(opened, lambda: said(opened) != before)
    Select(find(opened, "#controls-metric [name='metric']")).select_by_value("classifier_accuracy")
    until(opened, lambda: "Classifier accuracy" in title())
    assert "higher is better" in title()


def test_a_logarithm_moves_points_and_names_plain_numbers(opened):
    labels = f"{METRIC} .role-axis-label text"
    before = [element.text for element in opened.find_elements("css selector", labels)]
    click(opened, "log_y")
    now = lambda: [e.text for e in opened.find_elements("css selector", labels)]  # noqa: E731
    until(opened, lambda: now() != before)
    assert {"10", "20"} & set(now())
    assert not any("NaN" in label for label in said(opened))


def test_the_slider_chooses_the_round_whose_training_is_seen(opened):
    from selenium.webdriver.common.keys import Keys

    title = lambda: find(opened, "#chart-training svg .role-title").text  # noqa: E731
    assert "Round 3: 49 % of the weights removed" in title()
    find(opened, "#controls-training [name='round']").send_keys(Keys.ARROW_LEFT)
    until(opened, lambda: "Round 2: 36 %" in title())


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_light_in_the_light_and_dark_in_the_dark(opened, dark):
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    line = find(opened, f"{METRIC} .mark-rule line[stroke-dasharray]")
    stroke = opened.execute_script("return getComputedStyle(arguments[0]).stroke", line)
    brightness = np.mean([int(v) for v in stroke[4:-1].split(",")])
    assert (brightness > 120) == dark
    assert (np.median(picture(opened)) < 60) == dark
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_phone_has_one_column_and_nothing_beside_it(opened):
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    opened.refresh()
    until(opened, lambda: count(opened, METRIC))
    script = "return [document.documentElement.scrollWidth, innerWidth]"
    wide, window = opened.execute_script(script)
    assert (wide, window) == (390, 390)
    assert 300 < find(opened, METRIC).size["width"] <= 390
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_with_all_arms_off_nothing_fails(opened):
    for name in ("show_0", "show_1", "show_2"):
        click(opened, name)
    until(opened, lambda: not said(opened))
    assert [line for line in opened.get_log("browser") if line["level"] == "SEVERE"] == []


def test_it_is_read_without_scripts(address):
    with start(scripts=False) as browser:
        browser.get(address)
        assert count(browser, "table") >= 5 and not count(browser, "svg")
        text = find(browser, "main").text
        assert "A chart stands here where scripts run" in text and "What was found" in text
        assert not find(browser, "#controls-metric").is_displayed()
