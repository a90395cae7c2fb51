"""What people do who never open a terminal: start a study in Prefect's UI, compare its models in MLflow.

With PERCASYM_SCREENSHOTS=docs/images the pictures of the documentation are made on the way.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from fixtures.up import Running

playwright = pytest.importorskip("playwright.sync_api")

pytestmark = [pytest.mark.servers, pytest.mark.timeout(1200), pytest.mark.xdist_group("browser")]

PATIENT = 600_000.0  # ms
SMALL = {"train_items": "64", "test_items": "12", "sft_steps": "4"}
SETTINGS = (
    *("rl_arms=", "max_new_tokens=64", "sft.warmup_steps=1"),
    *("pretrain.items=32", "pretrain.steps=4", "pretrain.warmup_steps=1"),
)


@pytest.fixture
def page() -> Iterator[playwright.Page]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1300, "height": 1000}, color_scheme="light")
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def enter(page: playwright.Page, link: str) -> None:
    page.goto(link)
    page.wait_for_url(lambda url: "/enter" not in url)


def picture(page: playwright.Page, name: str) -> None:
    if folder := os.environ.get("PERCASYM_SCREENSHOTS"):
        page.wait_for_timeout(2_000)  # animations
        page.screenshot(path=Path(folder) / f"{name}.png")


def field(page: playwright.Page, name: str) -> playwright.Locator:
    return page.locator(".p-label", has=page.get_by_text(f"{name} (Optional)", exact=True)).last


def fill_list(page: playwright.Page, name: str, *values: str) -> None:
    for number, value in enumerate(values):
        field(page, name).get_by_role("button", name="Add item").click()
        field(page, name).locator("textarea").nth(number).fill(value)


def test_a_study_from_the_form_to_the_comparison(up: Running, page: playwright.Page) -> None:
    enter(page, up.entrance(up.prefect))
    page.goto(f"{up.prefect}/deployments")
    page.get_by_role("link", name="study", exact=True).first.click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    field(page, "name").locator("textarea").fill("browsed")
    fill_list(page, "arms", "token_mean")
    for name, value in SMALL.items():
        field(page, name).locator("input").fill(value)
    picture(page, "prefect-form")
    fill_list(page, "settings", *SETTINGS)
    page.get_by_role("button", name="Submit").click()

    page.get_by_role("link", name="browsed").first.click(
        timeout=PATIENT
    )  # it has that name once it has begun
    page.get_by_text("Completed", exact=True).first.wait_for(timeout=PATIENT)
    picture(page, "prefect-run")
    page.get_by_text("Artifacts", exact=True).last.click()
    page.get_by_text("samples", exact=True).first.click()
    image = page.locator("img[src^='data:image/png']").first
    image.wait_for()
    assert image.evaluate("image => image.naturalWidth") == 64
    picture(page, "prefect-artifact")
    page.goto(f"{up.prefect}/artifacts")
    page.get_by_text("accuracy-token-mean", exact=True).first.click()
    page.locator("a[href*='/artifacts/artifact/']").first.click()
    page.get_by_text("a_p", exact=True).first.wait_for()

    enter(page, up.entrance(up.mlflow))
    page.goto(f"{up.mlflow}/#/experiments/1/runs?workflowType=machine_learning")
    search = page.get_by_placeholder("metrics.rmse")
    search.fill("tags.stage = 'evaluate' and tags.study = 'browsed'")
    search.press("Enter")
    page.get_by_text("3 matching runs").wait_for()  # the study's own among them
    page.locator(".ag-row button").first.click()
    for row in (1, 2):
        page.locator(f".ag-row[row-index='{row}'] input[type=checkbox]").first.check()
    picture(page, "mlflow-runs")
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Comparing 2 Runs").wait_for()
    for figure in ("a", "a_p", "a_r"):
        page.get_by_role("link", name=figure, exact=True).wait_for()
    page.get_by_role("link", name="a", exact=True).scroll_into_view_if_needed()
    picture(page, "mlflow-comparison")


def test_the_secret_of_the_links_is_in_one_file_and_on_no_command_line(up: Running) -> None:
    secret = up.login.partition(":")[2]
    files = [path for path in up.home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert files == [up.home / "login"]
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600
    process = psutil.Process(up.process.pid)
    for one in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            assert secret not in " ".join(one.cmdline())
