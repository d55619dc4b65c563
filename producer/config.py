"""The client's settings: one frozen object, read once from `VOICEFARM_*`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from .errors import SettingsError

#: Every variable begins with this.
PREFIX = "VOICEFARM_"


class ProducerSettings(BaseSettings):
    """What a client needs to know: where the broker is and where the files are."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    broker_url: SecretStr | None = Field(
        default=None,
        description="Redis or Valkey URL of the farm. Unset: the embedded broker of "
        "`VOICEFARM_HOME`, if one was started there.",
    )
    broker_url_file: Path | None = Field(
        default=None,
        description="File that holds that URL, such as a container's secret; read where "
        "`VOICEFARM_BROKER_URL` is unset.",
    )
    home: Path = Field(
        default=Path("~/.voicefarm"),
        description="Directory of the volumes `uploads processed temp logs models`; "
        "the same volume on every machine of the farm.",
    )
    keep_days: float = Field(
        default=30.0, gt=0, description="Days that the ledger remembers an ended job."
    )
    min_replicas: int = Field(
        default=1,
        ge=0,
        description="Replicas that must have a job before `submit` returns, where Sentinels name "
        "the broker; 0 waits for none.",
    )
    hub_url: str = Field(
        default="https://huggingface.co",
        pattern=r"^https?://[^\s@?#]+$",
        description="Where `voicefarm models get` finds the repositories of models; a mirror has "
        "the same paths below it.",
    )

    @classmethod
    def load(cls, **explicit: Any) -> Self:
        """Read the environment once; keywords that are not None win. Raises `SettingsError`."""
        try:
            settings = cls(**{name: value for name, value in explicit.items() if value is not None})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            variable = PREFIX + "_".join(str(part) for part in first["loc"]).upper()
            raise SettingsError(variable, first["input"], first["msg"]) from error
        known: dict[str, Any] = {"home": settings.home.expanduser().absolute()}
        if settings.broker_url is None and settings.broker_url_file is not None:
            known["broker_url"] = _secret_in(settings.broker_url_file)
        return settings.model_copy(update=known)


def _secret_in(path: Path) -> SecretStr:
    """Return what a file holds, without the white space around it. Raises `SettingsError`."""
    variable = PREFIX + "BROKER_URL_FILE"
    try:
        secret = path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        wanted = getattr(error, "strerror", None) or "it is not UTF-8"
        raise SettingsError(variable, str(path), f"the file cannot be read: {wanted}") from error
    if not secret:
        raise SettingsError(variable, str(path), "the file is empty, and should hold a URL")
    return SecretStr(secret)
