"""A broker behind TLS: the right certificate serves client, worker and results, a wrong one nobody.

The TLS is a door before a Valkey, as the Valkey that the tests bring has none built in.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from producer import AsyncVoiceFarm, BrokerUntrusted, JobState, VoiceFarm
from producer.cli import run_voicefarm
from tests.conftest import eventually, facts_of
from tests.tls_door import TlsDoor

pytestmark = pytest.mark.service

OpenDoor = Callable[..., TlsDoor]


@pytest.fixture
def authority() -> trustme.CA:
    """The CA that the farm trusts."""
    return trustme.CA()


@pytest.fixture
def open_door(redis_url) -> Iterator[OpenDoor]:
    """Open a TLS port before the broker: `open_door(authority, "127.0.0.1")`."""
    with ExitStack() as doors:

        def open_one(issuer: trustme.CA, *names: str) -> TlsDoor:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            issuer.issue_cert(*names).configure_cert(context)
            return doors.enter_context(TlsDoor(context, urlsplit(redis_url).port or 0))

        yield open_one


@pytest.fixture
def url_of(redis_url, authority, tmp_path) -> Callable[[TlsDoor], str]:
    """The URL of the broker behind a door, for who trusts the authority."""
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))

    def url(door: TlsDoor) -> str:
        secret = urlsplit(redis_url).password
        return f"rediss://:{secret}@127.0.0.1:{door.port}/0?ssl_ca_certs={trusted}"

    return url


@pytest.fixture(params=["of another authority", "of another host"])
def impostor(request, open_door, authority) -> TlsDoor:
    """A door with a certificate that does not prove what the URL asks for."""
    if request.param == "of another host":
        return open_door(authority, "broker.example")
    return open_door(trustme.CA(), "127.0.0.1")


def test_jobs_go_through_a_broker_that_proves_who_it_is(
    start_worker, open_door, authority, url_of, home
):
    door = open_door(authority, "127.0.0.1")
    start_worker(broker_url=url_of(door))

    with VoiceFarm(url_of(door), home=home) as farm:
        result = farm.submit("A line that is spoken").result(60)
        jobs = farm.submit_many(f"line number {n}" for n in range(20))
        ends = [job.wait(60) for job in jobs]
        facts = facts_of(farm)

    assert result.path.is_file()
    assert ends == [JobState.DONE] * 20
    assert facts["state"] == "ready"
    assert door.agreed > 5


async def _awaited(url: str, home: Path) -> JobState:
    farm = AsyncVoiceFarm(url, home=home)
    try:
        return await (await farm.submit("A line that is spoken")).wait(60)
    finally:
        await farm.aclose()


def test_the_asyncio_client_proves_it_too(
    start_worker, open_door, authority, impostor, url_of, home
):
    import asyncio

    start_worker()

    assert asyncio.run(_awaited(url_of(open_door(authority, "127.0.0.1")), home)) is JobState.DONE
    with pytest.raises(BrokerUntrusted):
        asyncio.run(_awaited(url_of(impostor), home))


def test_a_client_tells_what_is_wrong_with_a_certificate_and_sends_nothing(
    impostor, url_of, home, redis_url, capsys
):
    code = run_voicefarm(["submit", "Hello", "--broker", url_of(impostor), "--home", str(home)])

    said = capsys.readouterr().err
    assert code == 3
    assert "does not prove who it is" in said
    assert urlsplit(redis_url).password not in said
    assert impostor.agreed == 0


def test_a_worker_ends_with_the_reason_instead_of_trying_for_ever(start_worker, impostor, url_of):
    worker = start_worker(ready=False, broker_url=url_of(impostor))

    eventually(lambda: worker.process.poll() is not None, 60)

    assert worker.process.returncode == 3
    assert "does not prove who it is" in worker.log
    assert impostor.agreed == 0
