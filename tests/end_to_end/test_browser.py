"""What people see: a sweep in MLflow's pages and the service's own, in a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from .conftest import Workbench, text_csv
from .fault_site import Site
from .serving import serving, tracking_server

APPS = Path(__file__).parent / "apps"
CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 90_000  # milliseconds for a page on a busy machine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None and os.environ.get("CI") != "true", reason="needs a browser: apt-get install chromium"
    ),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    assert CHROMIUM is not None, "apt-get install chromium"
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("browser"),
            executable_path=CHROMIUM,
            args=FLAGS,
            viewport={"width": 1600, "height": 1000},
        )
        context.set_default_timeout(PATIENCE)
        yield context
        context.close()


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, texts: Path) -> Workbench:
    bench = Workbench(tmp_path_factory.mktemp("swept"))
    shutil.copy(empty_store, bench.folder / "mlflow.db")
    bench.sweep(*text_csv(texts), "model=logistic,naive_bayes", "n_trials=2")
    return bench


@pytest.fixture(scope="module")
def mlflow_pages(swept: Workbench) -> Iterator[str]:
    """The address of the experiment's pages."""
    with tracking_server(swept) as (address, _):
        yield f"{address}/#"


def test_the_sweep_is_a_parent_with_its_trials_nested_and_two_compare(
    page: Page, mlflow_pages: str, swept: Workbench
) -> None:
    (parent,), trials = swept.runs("sweep"), swept.runs("trial")
    page.goto(f"{mlflow_pages}/experiments/{parent.info.experiment_id}/runs?workflowType=machine_learning")
    row = page.locator(f"[row-id='{parent.info.run_id}']").first
    expect(row.get_by_role("link", name=parent.info.run_name)).to_be_visible()
    names = [page.get_by_role("link", name=trial.info.run_name) for trial in trials]
    expect(names[0]).to_have_count(0)

    row.locator("button[data-component-id*=runnamecellrenderer]").click()
    for name in names:
        expect(name).to_be_visible()

    for trial in trials:
        page.locator(f"[row-id='{trial.info.run_id}'] input[aria-label*='toggle row selection']").check(force=True)
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", name="Comparing 2 Runs")).to_be_visible()
    for text in (
        "logistic",
        "naive_bayes",
        "test_f1",
        "overfitting",
    ):  # metrics further down are drawn when one gets there
        expect(page.get_by_text(text, exact=True).first).to_be_visible()


def test_a_trials_page_has_its_params_and_metrics(page: Page, mlflow_pages: str, swept: Workbench) -> None:
    trial = swept.runs("trial")[0]
    page.goto(f"{mlflow_pages}/experiments/{trial.info.experiment_id}/runs/{trial.info.run_id}")
    for text in ("model_type", "logistic", "vectorizer_type", "tfidf", "C", "val_f1", "test_f1"):
        expect(page.get_by_text(text, exact=True).first).to_be_visible()
    expect(page.get_by_text("FINISHED").or_(page.get_by_text("Finished")).first).to_be_visible()


def test_the_models_page_shows_the_version_and_its_alias(page: Page, mlflow_pages: str) -> None:
    page.goto(f"{mlflow_pages}/models/comments")
    expect(page.get_by_text("Version 1").first).to_be_visible()
    expect(page.get_by_text("champion").first).to_be_visible()


@pytest.fixture(scope="module")
def apps_swept(new_site: Callable[[], Site]) -> Site:
    """What two apps log themselves: figures, nested runs, a model that wins."""
    site = new_site()
    shutil.copytree(APPS, site.folder, dirs_exist_ok=True)
    for app, overrides in (("learns.py", []), ("logs.py", ["how=plain,several", "hydra.sweeper.study_name=logs"])):
        command = site.command(app, "-m", *overrides)
        assert command.wait() == 0, command.out + command.err
    return site


@pytest.fixture(scope="module")
def apps_pages(apps_swept: Site) -> Iterator[str]:
    with tracking_server(Workbench(apps_swept.folder)) as (address, _):
        yield f"{address}/#"


def test_what_an_app_logs_stands_on_its_trials_page(page: Page, apps_pages: str, apps_swept: Site) -> None:
    runs = {run.data.params["how"]: run for run in apps_swept.children("logs")}
    plain, several = (f"{apps_pages}/experiments/{runs[how].info.experiment_id}/runs/" for how in ("plain", "several"))
    page.goto(f"{plain}{runs['plain'].info.run_id}")
    for text in ("mine", "how", "loss", "score"):
        expect(page.get_by_text(text, exact=True).first).to_be_visible()
    expect(page.get_by_role("button", name="frame").first).to_be_visible()
    page.goto(f"{plain}{runs['plain'].info.run_id}/artifacts")
    for text in ("greeting.txt", "figures"):
        expect(page.get_by_text(text, exact=True).first).to_be_visible()
    page.goto(f"{several}{runs['several'].info.run_id}")
    expect(page.get_by_text("inner", exact=True).first).to_be_visible()


def test_an_apps_winner_stands_on_the_models_page_with_the_run_it_comes_from(
    page: Page, apps_pages: str, apps_swept: Site
) -> None:
    run = apps_swept.client.get_run(apps_swept.champion("level"))
    page.goto(f"{apps_pages}/models/level/versions/1")
    expect(page.get_by_text("champion").first).to_be_visible()
    expect(page.get_by_role("link", name=run.info.run_name).first).to_be_visible()


def test_the_services_page_sends_a_batch(page: Page, swept: Workbench) -> None:
    with serving(swept, "--no-log") as service:
        elsewhere: list[str] = []
        page.on("request", lambda request: elsewhere.append(request.url))
        page.goto(f"{service.address}/docs")
        block = page.locator(".opblock", has_text="/predict/batch")
        block.locator(".opblock-summary").click()
        block.get_by_role("button", name="Try it out").click()
        block.get_by_role("button", name="Execute").click()
        answer = block.locator(".live-responses-table")
        expect(answer.locator(".response-col_status").last).to_contain_text("200")
        expect(answer).to_contain_text('"predictions"')
        assert [url for url in elsewhere if not url.startswith((service.address, "data:"))] == []
