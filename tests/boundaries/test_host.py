"""The client inside somebody else's application: it reaches our broker, and leaves no trace."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

#: A host application with names like ours, a Celery app of its own, and no torch.
HOST_PROGRAM = """
    import sys

    class NoTorch:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in ("torch", "numpy"):
                raise ImportError(f"{name} is not installed here")

    sys.meta_path.insert(0, NoTorch())

    import celery
    host = celery.Celery("host", broker="memory://", set_as_current=True)
    host.set_current()
    host.set_default()
    host.conf.task_always_eager = True
    before = repr(sorted(host.conf.table().items()))

    import producer

    url, home, inside_a_task = sys.argv[1], sys.argv[2], sys.argv[3] == "task"

    @host.task
    def speak():
        farm = producer.VoiceFarm(url, home=home)
        job = farm.submit("Hello from a host")
        assert job.status == "queued"
        try:
            job.wait(0.1)
        except producer.WaitTimeout:
            pass
        assert farm.workers(0.2) == {}
        assert job.cancel()
        assert job.wait(5) == "cancelled"
        job = farm.submit("Stay in the queue")
        return job.id

    job_id = speak.apply().get() if inside_a_task else speak.run()

    for name in ("tasks", "worker", "tests", "torch"):
        assert name not in sys.modules, name
    assert celery.current_app._get_current_object() is host
    assert repr(sorted(host.conf.table().items())) == before
    print(job_id)
"""


@pytest.fixture
def decoys(tmp_path) -> Path:
    """A directory with modules of a host that have our names, each failing when imported."""
    directory = tmp_path / "host"
    directory.mkdir()
    for name in ("tasks", "worker", "tests"):
        (directory / f"{name}.py").write_text(f"raise AssertionError('{name} was imported')\n")
    (directory / "program.py").write_text(textwrap.dedent(HOST_PROGRAM))
    return directory


@pytest.mark.service
@pytest.mark.parametrize("where", ["plainly", "task"])
def test_a_hostile_host_changes_nothing_and_is_not_changed(decoys, farm, redis_url, home, where):
    hostile = {
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
        "CELERY_BROKER_READ_URL": "redis://127.0.0.1:1/0",
        "CELERY_BROKER_WRITE_URL": "redis://127.0.0.1:1/0",
        # Inside a task the host needs a backend that exists, for itself.
        "CELERY_RESULT_BACKEND": "cache+memory://" if where == "task" else "nonsense://nowhere",
        "CELERY_CUSTOM_WORKER_POOL": "no.such:Pool",
        "DJANGO_SETTINGS_MODULE": "no.such.settings",
    }

    ran = subprocess.run(
        [sys.executable, "program.py", redis_url, str(home), where],
        cwd=decoys,
        env={**os.environ, **hostile, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert farm.job(ran.stdout.strip()).row().job.text == "Stay in the queue"
