"""Another Celery application in the farm's database: its workers are not the farm's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from celery import Celery

from producer import NoWorker
from tests.conftest import READY_TIMEOUT_S, eventually

pytestmark = pytest.mark.service

#: Somebody else's application.
SHOP = """
import os
from celery import Celery

app = Celery("shop", broker=os.environ["SHOP_BROKER"])
"""


@pytest.fixture
def shop(redis_url, tmp_path) -> Iterator[str]:
    """The name of a worker of that application, which answers whoever asks."""
    (tmp_path / "shop.py").write_text(SHOP)
    process = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "shop", "worker", "-P", "solo", "-n", "shop@test"],
        cwd=tmp_path,
        env={**os.environ, "SHOP_BROKER": redis_url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    control = Celery("asks", broker=redis_url, set_as_current=False).control
    eventually(lambda: control.ping(["shop@test"], timeout=0.5), READY_TIMEOUT_S)
    yield "shop@test"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_its_worker_is_nobody_who_takes_a_job(shop, farm, command):
    assert farm.workers() == {}
    with pytest.raises(NoWorker):
        farm.submit("Hello", require_worker=True)

    code, shown, told = command("workers")

    assert (code, shown) == (69, "")
    assert "no worker is listening" in told


def test_its_worker_is_not_shown_beside_ours(shop, start_worker, farm, command):
    start_worker()

    code, shown, _ = command("workers")

    assert code == 0
    assert "w@test" in shown
    assert shop not in shown
