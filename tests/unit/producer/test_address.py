"""Where the broker is, read from a URL."""

from __future__ import annotations

import pytest

from producer.address import Address, SentinelAddress
from producer.broker_url import mask
from producer.errors import SettingsError

URL = "sentinel://us%40er:p%3Aw@h1:26380;h2;[::1]:7/my%20farm/3?sentinel_password=s3cret"


def test_a_url_of_sentinels_is_read_whole():
    address = Address.of(URL)

    assert isinstance(address, SentinelAddress)
    assert address.hosts == (("h1", 26380), ("h2", 26379), ("::1", 7))
    assert (address.master, address.db) == ("my farm", 3)
    assert (address.username, address.password) == ("us@er", "p:w")
    assert address.sentinel_password == "s3cret"
    assert address.replicated


def test_celery_gets_a_url_without_what_it_can_not_read():
    assert Address.of(URL).celery_url == "sentinel://us%40er:p%3Aw@h1:26380/3"
    assert Address.of("sentinel://h1,h2/farm").celery_url == "sentinel://h1:26379/0"


def test_a_plain_url_is_one_server():
    address = Address.of("redis://:secret@host/0")

    assert not address.replicated
    assert address.celery_url == "redis://:secret@host/0"


@pytest.mark.parametrize(
    "url",
    [
        "sentinel://:secret@h1:26379",
        "sentinel://:secret@h1:26379/",
        "sentinel://:secret@h1:port/farm",
        "sentinel://:secret@h1;/farm",
        "sentinel://:secret@/farm",
        "sentinel://:secret@h1/farm/zero",
        "sentinel://:secret@h1/farm?ssl_cert_reqs=none",
    ],
)
def test_a_wrong_url_is_refused_with_the_wanted_form_and_without_its_password(url):
    with pytest.raises(SettingsError, match="HOST") as refused:
        Address.of(url)

    assert "secret" not in str(refused.value)
    assert "secret" not in repr(refused.value.__cause__)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, URL.replace("p%3Aw", "***").replace("s3cret", "***")),
        ("redis://host/0?password=secret&db=1", "redis://host/0?password=***&db=1"),
        ("redis://:secret@host/0", "redis://:***@host/0"),
        ("redis://host/0", "redis://host/0"),
    ],
)
def test_a_masked_url_has_no_password(url, shown):
    assert mask(url) == shown
