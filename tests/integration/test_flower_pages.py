"""Flower as its image configures it, seen with a real browser: the distribution's Chromium."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from producer import JobState, SpeechJob, VoiceFarm
from tests.conftest import CHECKOUT, READY_TIMEOUT_S, WorkerProcess, eventually, missing, needed
from tests.valkey_server import free_port

pytestmark = pytest.mark.service

LOGIN = {"username": "farm", "password": "open sesame"}

#: How long a page may take to show what is looked for, on a busy machine. [ms]
PATIENCE_MS = 60_000

#: Takes many minutes at real time, so that it runs for as long as the tests look.
LONG = "A long chapter that tells of ships and of the sea. " * 900
FAILING = "This line fails in any voice."


@pytest.fixture(scope="module")
def scene(server_url, tmp_path_factory) -> Iterator[SimpleNamespace]:
    """A farm with a worker and three jobs: one runs, one is done, one failed."""
    directory = tmp_path_factory.mktemp("farm")
    environment = {
        **os.environ,
        "VOICEFARM_BROKER_URL": server_url,
        "VOICEFARM_HOME": str(directory),
        "VOICEFARM_ENGINE": "fake",
        "VOICEFARM_FAKE_SPEED": "1",
        "VOICEFARM_FAKE_FAIL_ON": FAILING,
    }
    worker = WorkerProcess(environment, directory / "worker.log", "-n", "w@test", "-E")
    with VoiceFarm(server_url, home=directory) as farm:
        farm.broker.redis.flushall()
        eventually(
            lambda: farm.workers(0.3).get("w@test", {}).get("state") == "ready", READY_TIMEOUT_S
        )
        yield SimpleNamespace(farm=farm, worker=worker, url=server_url, directory=directory)
    worker.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def flower_url(scene) -> Iterator[str]:
    """Flower with the configuration of the image, and a login of its own."""
    login, port = scene.directory / "login", free_port()
    login.write_text(":".join(LOGIN.values()))
    environment = {
        **os.environ,
        "VOICEFARM_BROKER_URL": scene.url,
        "FLOWER_LOGIN_FILE": str(login),
        "FLOWER_DB": str(scene.directory / "flower.db"),
    }
    command = ["flower", f"--conf={CHECKOUT}/docker/flowerconfig.py", f"--port={port}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "tasks", *command, "--address=127.0.0.1"],
        cwd=CHECKOUT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    yield f"http://127.0.0.1:{port}"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def browser():
    """The distribution's Chromium."""
    playwright = needed("playwright.sync_api")
    program = shutil.which("chromium")
    if program is None:
        missing("chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(browser, flower_url):
    """A page of somebody who has the password."""
    context = browser.new_context(http_credentials=LOGIN, viewport={"width": 1440, "height": 600})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    eventually(lambda: hears(page, flower_url), READY_TIMEOUT_S)
    return page


def hears(page, url: str) -> bool:
    """True once Flower answers, and has heard of the worker."""
    from playwright.sync_api import Error

    try:
        page.goto(f"{url}/workers")
        return bool(page.locator("#workers-table tbody tr", has_text="Online").count())
    except Error:
        return False


@pytest.fixture(scope="module")
def jobs(scene, page):
    """The three jobs, queued while Flower listens."""
    done = scene.farm.submit("Short and good")
    failed = scene.farm.submit(FAILING)
    running = scene.farm.submit(LONG, priority="batch")
    for job in (done, failed):
        job.wait(60)
    eventually(lambda: running.status is JobState.RUNNING)
    return {"SUCCESS": done, "FAILURE": failed, "STARTED": running}


def shown(page, name: str) -> None:
    """Keep a picture of the page, if whoever runs the tests wants it."""
    if directory := os.environ.get("FLOWER_PICTURES"):
        page.screenshot(path=Path(directory) / f"flower-{name}.png", full_page=True)


def row_of(page, url: str, job_id: str) -> str:
    """Return the line of a job in the table, "" if it has none.

    The table stays as it was when it was opened.
    """
    page.goto(f"{url}/tasks")
    page.locator("#tasks-table tbody tr").first.wait_for()
    row = page.locator("#tasks-table tbody tr", has_text=job_id)
    return row.inner_text() if row.count() else ""


def test_without_the_password_nothing_is_seen(browser, flower_url, page, jobs):
    stranger = browser.new_context(http_credentials={**LOGIN, "password": "guessed"}).new_page()

    for path in ("tasks", f"task/{jobs['SUCCESS'].id}", f"events/{jobs['SUCCESS'].id}"):
        assert stranger.goto(f"{flower_url}/{path}").status == 401
        assert stranger.inner_text("body") == "Access denied"


def test_the_worker_is_seen_with_what_it_has_done(page, flower_url, jobs):
    page.goto(f"{flower_url}/workers")

    row = page.locator("#workers-table tbody tr", has_text="w@test")
    row.get_by_text("Online").wait_for()
    page.locator("#workers-failed", has_text="1").wait_for()
    page.locator("#workers-active", has_text="1").wait_for()
    shown(page, "workers")


def facts_shown(page) -> dict[str, str]:
    """Return what the page of a job tells, by name."""
    names, values = page.locator("#job-page dt"), page.locator("#job-page dd")
    return dict(zip(names.all_inner_texts(), values.all_inner_texts(), strict=True))


def test_the_id_of_each_job_leads_to_what_became_of_it(page, flower_url, jobs):
    told = {}
    for state, job in jobs.items():
        eventually(lambda job=job, state=state: state in row_of(page, flower_url, job.id))
        if state == "FAILURE":
            shown(page, "jobs")
        page.locator("#tasks-table a", has_text=job.id).click()
        page.locator("#job-page").wait_for()
        told[state] = facts_shown(page)
        assert told[state]["Id"] == job.id
        if state == "FAILURE":
            shown(page, "job")

    done, failed, running = told["SUCCESS"], told["FAILURE"], told["STARTED"]
    row = jobs["SUCCESS"].row()
    assert done["State"] == "done"
    assert done["File"] == f"{row.file}, {row.size_bytes:,} bytes"
    assert done["SHA-256"] == row.sha256
    assert {"Queued", "Running", "Done", "Waited", "Took"} <= done.keys()
    assert (failed["State"], failed["Reason"]) == ("failed", "engine_failed")
    assert failed["Once more"] == f"voicefarm retry {jobs['FAILURE'].id}"
    assert running["State"] == "running"
    assert "File" not in running


def test_a_job_that_flower_has_not_heard_of_has_its_page_too(page, flower_url, scene):
    """As after a restart of Flower. The text is no page of its own, whatever is in it."""
    text = "<img src=x onerror=document.title='owned'> <b>bold</b> and so on " * 3
    job, job_id = SpeechJob(text=text), "0" * 31 + "1"
    scene.farm.ledger.create(job_id, job, time.time())

    page.goto(f"{flower_url}/task/{job_id}")

    told = facts_shown(page)
    assert told["State"] == "queued"
    assert told["Text"].startswith("<img src=x onerror=document.title='owned'>")
    assert page.locator("#job-page b, #job-page img").count() == 0
    assert page.title() == f"Job {job_id[:8]} · Flower"
    assert "and so on" not in told["Text"]
    assert "Celery" not in told


def test_behind_the_page_is_what_celery_told_of_the_task(page, flower_url, jobs):
    page.goto(f"{flower_url}/task/{jobs['FAILURE'].id}")

    page.get_by_text("What Flower has heard of the task").click()

    page.locator("dt", has_text="Exception").wait_for()
    assert page.url == f"{flower_url}/events/{jobs['FAILURE'].id}"


def test_a_job_that_nobody_knows_is_not_found(page, flower_url):
    assert page.goto(f"{flower_url}/task/{'f' * 32}").status == 404


def test_the_worker_cannot_be_shut_down(page, flower_url, scene, jobs):
    page.goto(f"{flower_url}/worker/w@test")
    page.locator("#workername", has_text="w@test").wait_for()
    assert page.get_by_text("Shut Down").count() == 0

    # Nor by what the button would have sent.
    status = page.evaluate(
        """async () => {
            const token = document.cookie.split('; ').find(c => c.startsWith('_xsrf='));
            const headers = {'X-XSRFToken': token ? token.slice(6) : ''};
            const url = '/api/worker/shutdown/w@test';
            return (await fetch(url, {method: 'POST', headers})).status;
        }"""
    )

    assert status == 403
    assert scene.farm.submit("Still here").wait(60) is JobState.DONE
    assert scene.worker.process.poll() is None
