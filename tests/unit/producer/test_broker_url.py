"""A broker behind TLS must prove who it is, whatever kombu would do by itself."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from producer.broker_url import mask_all, verified
from producer.errors import SettingsError


def asked_of(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(verified(url)).query)


def test_a_certificate_is_asked_for_if_the_url_does_not_say():
    asked = asked_of("rediss://user:secret@host:6380/0?ssl_ca_certs=/etc/ca.pem")

    assert asked == {"ssl_ca_certs": ["/etc/ca.pem"], "ssl_cert_reqs": ["required"]}


def test_the_rest_of_the_url_stays_as_it_is():
    assert verified("rediss://user:s%40t@host:6380/0").startswith(
        "rediss://user:s%40t@host:6380/0?"
    )


@pytest.mark.parametrize("reqs", ["none", "optional", "CERT_NONE"])
def test_a_url_that_asks_for_no_proof_is_refused_without_telling_its_password(reqs):
    with pytest.raises(SettingsError, match="must verify") as refused:
        verified(f"rediss://user:secret@host/0?ssl_cert_reqs={reqs}")

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("check", ["false", "False", "no", "0", "off"])
def test_a_url_that_takes_the_certificate_of_any_host_is_refused(check):
    with pytest.raises(SettingsError, match="must verify"):
        verified(f"rediss://host/0?ssl_check_hostname={check}")


def test_a_url_without_tls_is_not_touched():
    assert verified("redis://:secret@host/0?x=1") == "redis://:secret@host/0?x=1"


def test_the_passwords_of_all_urls_in_a_text_are_masked():
    text = "redis://w:one@a:1/0 is away, rediss://b/0?password=two&x=1 too; so is 10:30 @home"

    assert mask_all(text) == (
        "redis://w:***@a:1/0 is away, rediss://b/0?password=***&x=1 too; so is 10:30 @home"
    )
