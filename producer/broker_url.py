"""The URL of a farm's broker: where it is found, what it must prove, and what is told of it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from .config import ProducerSettings
from .embedded import EmbeddedBroker
from .errors import BrokerUnavailable, SettingsError

#: What `ssl_cert_reqs` may be, as redis and as Python's `ssl` spell it.
_PROOF: Final = ("required", "cert_required")

#: A password behind the question mark, where redis looks for one too.
_SECRET_IN_QUERY: Final = re.compile(r"([?&][^=&]*password=)[^&#\s]*", re.IGNORECASE)

#: The password of a URL that stands in a text.
_SECRET_IN_TEXT: Final = re.compile(r"(://[^:/@\s]*:)[^@\s]+@")

#: What would have `ssl_check_hostname` take anybody's certificate, as redis and kombu read it.
_NO: Final = ("false", "f", "no", "n", "0", "off", "")


def broker_url(settings: ProducerSettings) -> str:
    """Return the URL that the settings name, else the one of the embedded broker of the home."""
    if settings.broker_url is not None:
        return verified(settings.broker_url.get_secret_value())
    found = EmbeddedBroker.find_url(settings.home)
    if found is None:
        raise BrokerUnavailable(
            f"VOICEFARM_BROKER_URL (unset) or {settings.home}/broker", "no farm was started there"
        )
    return found


def verified(url: str) -> str:
    """Return `url` such that a `rediss` broker must prove who it is.

    kombu would take any certificate if the URL does not say. Raises `SettingsError` for one
    that asks for no proof.
    """
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return url
    query = dict(parse_qsl(parts.query))
    named = query.get("ssl_check_hostname", "true").lower() not in _NO
    if not named or query.setdefault("ssl_cert_reqs", "required").lower() not in _PROOF:
        wanted = (
            "a rediss URL must verify: leave ssl_cert_reqs and ssl_check_hostname out, name the CA "
            "in ssl_ca_certs"
        )
        raise SettingsError("VOICEFARM_BROKER_URL", mask(url), wanted)
    return urlunsplit(parts._replace(query=urlencode(query)))


def mask(url: str) -> str:
    """Return `url` without its passwords."""
    parts = urlsplit(_SECRET_IN_QUERY.sub(r"\1***", url))
    if parts.password is None:
        return urlunsplit(parts)
    _, _, address = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{address}"))


def mask_all(text: str) -> str:
    """Return `text` without the passwords of the URLs in it."""
    return _SECRET_IN_TEXT.sub(r"\1***@", _SECRET_IN_QUERY.sub(r"\1***", text))
