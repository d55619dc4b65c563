"""The job contract: what a producer asks for, frozen, versioned and strict.

`SpeechJob` is text to speech, `ConvertJob` is speech to another voice, and `AssembleJob`
(`assemble_job.py`) makes a book of a batch. Unknown fields are refused, values out of range are
refused, and `encode` and `decode` are the whole wire format.
"""

from __future__ import annotations

import json
import uuid
from string import hexdigits
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from .assemble_job import AssembleJob
from .content_key import Plain, is_key
from .errors import InvalidJob, UnsupportedSchema
from .job_base import SCHEMA_VERSION, JobBase, Strict
from .languages import check_language
from .text import clean
from .voices import DEFAULT_VOICE, check_name

AudioFormat = Literal["wav", "flac", "mp3", "opus"]

Seed = Annotated[int, Field(ge=0, lt=2**63)]

#: The rates that a format can hold, in Hz; a format that is not named holds any rate.
RATES_OF: Final[dict[str, tuple[int, ...]]] = {
    "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "opus": (8000, 12000, 16000, 24000, 48000),
}

#: Hexadecimal digits of a job's id.
_ID_CHARS: Final = 32

#: Names that OpenAI's speech API has made familiar, and ours.
ALIASES: Final = {"input": "text", "response_format": "format"}


class OutputSpec(Strict):
    """The file that the job becomes."""

    format: AudioFormat = "wav"
    #: None is the engine's own rate, or the nearest one that the format can hold.
    sample_rate_hz: Annotated[int, Field(ge=8000, le=96000)] | None = None

    @model_validator(mode="after")
    def _rate_fits_format(self) -> Self:
        rates = RATES_OF.get(self.format)
        if rates and self.sample_rate_hz is not None and self.sample_rate_hz not in rates:
            raise ValueError(
                f"{self.format} holds {', '.join(map(str, rates))} Hz, not {self.sample_rate_hz}"
            )
        return self


class RvcSettings(Strict):
    """Conversion into an RVC voice; names and ranges are those of the RVC interfaces."""

    voice: str
    #: Semitones, or `auto` to move the speaker's median pitch to the voice's.
    pitch: Annotated[float, Field(ge=-24, le=24)] | Literal["auto"] = 0.0
    index_rate: Annotated[float, Field(ge=0, le=1)] = 0.75
    f0_method: Literal["rmvpe", "pm", "harvest"] = "rmvpe"
    filter_radius: Annotated[int, Field(ge=0, le=7)] = 3
    rms_mix_rate: Annotated[float, Field(ge=0, le=1)] = 0.25
    protect: Annotated[float, Field(ge=0, le=0.5)] = 0.33
    #: `interp` draws straight lines of pitch over unvoiced frames.
    unvoiced: Literal["zero", "interp"] = "zero"
    #: `exact` keeps the length, `compat` loses up to 20 ms as other programs do.
    length: Literal["exact", "compat"] = "exact"
    #: `ivf1` looks at the nearest list of the index, `exact` at all vectors.
    search: Literal["ivf1", "exact"] = "ivf1"
    #: Of a voice that was trained with several.
    speaker: Annotated[int, Field(ge=0, le=1023)] = 0

    @field_validator("voice")
    @classmethod
    def _voice_is_a_name(cls, name: str) -> str:
        return check_name("convert.voice", name)


class _EngineJob(JobBase):
    output: OutputSpec = OutputSpec()


class SpeechJob(_EngineJob):
    """Text to speech, and on to an RVC voice if `convert` says so.

    The sampling parameters have XTTS-v2's names and the defaults of its published
    configuration; an engine that does not sample has no use for them.
    """

    kind: Literal["speech"] = "speech"
    text: str
    voice: str = DEFAULT_VOICE
    language: str = "en"
    speed: Annotated[float, Field(ge=0.25, le=4)] = 1.0
    temperature: Annotated[float, Field(gt=0, le=2)] = 0.75
    top_k: Annotated[int, Field(ge=1, le=1024)] = 50
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.85
    repetition_penalty: Annotated[float, Field(ge=1, le=20)] = 5.0
    length_penalty: Annotated[float, Field(ge=-10, le=10)] = 1.0
    #: None lets each take draw its seed from its content key.
    seed: Seed | None = None
    convert: RvcSettings | None = None

    @field_validator("text", mode="before")
    @classmethod
    def _text_is_speakable(cls, text: str) -> str:
        return clean(text)

    @field_validator("language")
    @classmethod
    def _language_is_known(cls, code: str) -> str:
        return check_language(code)

    @field_validator("voice")
    @classmethod
    def _voice_is_a_name(cls, name: str) -> str:
        return check_name("voice", name)

    def take_parameters(self) -> dict[str, Plain]:
        """Return what, beside its text and voice, decides how a take sounds."""
        names = (
            "language", "speed", "temperature", "top_k", "top_p",
            "repetition_penalty", "length_penalty", "seed",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}


class ConvertJob(_EngineJob):
    """Audio that lies on the uploads volume, under its content hash, to another voice."""

    kind: Literal["convert"] = "convert"
    upload: str
    convert: RvcSettings
    #: None draws it from the content key.
    seed: Seed | None = None

    @field_validator("upload")
    @classmethod
    def _upload_is_a_hash(cls, key: str) -> str:
        if not is_key(key):
            raise InvalidJob("upload", f"{key!r} is no sha256 of an uploaded file")
        return key


#: What an engine has to do with.
EngineJob = SpeechJob | ConvertJob
AnyJob = EngineJob | AssembleJob
_KINDS: Final[dict[str, type[SpeechJob] | type[ConvertJob] | type[AssembleJob]]] = {
    "speech": SpeechJob,
    "convert": ConvertJob,
    "assemble": AssembleJob,
}


J = TypeVar("J", bound=JobBase)


def new_job_id() -> str:
    """Return a fresh id: 32 hex digits."""
    return uuid.uuid4().hex


def is_job_id(text: str) -> bool:
    """True for what `new_job_id` makes."""
    return len(text) == _ID_CHARS and all(char in hexdigits for char in text)


def speech_job(text: str | None = None, /, **fields: Any) -> SpeechJob:
    """Build a `SpeechJob` from flat keywords, or raise `InvalidJob` naming the field.

    `format` and `sample_rate_hz` go to the output, `convert="name"` is short for
    `RvcSettings(voice="name")`, and OpenAI's `input` and `response_format` are understood.
    """
    if text is not None:
        fields = {"text": text, **fields}
    named: dict[str, Any] = {}
    for name, value in fields.items():
        ours = ALIASES.get(name, name)
        if ours in named:
            raise InvalidJob(ours, "is given twice")
        named[ours] = value
    if isinstance(named.get("convert"), str):
        named["convert"] = {"voice": named["convert"]}
    return _validated(SpeechJob, _with_output(named))


def convert_job(upload: str, /, **fields: Any) -> ConvertJob:
    """Build a `ConvertJob` from flat keywords, or raise `InvalidJob` naming the field.

    Those of `RvcSettings` and of `OutputSpec` may be given directly; `convert` is then left out.
    """
    settings = {name: fields.pop(name) for name in RvcSettings.model_fields if name in fields}
    if settings and "convert" in fields:
        raise InvalidJob("convert", "is given beside " + " and ".join(settings))
    named = {"convert": settings, **fields, "upload": upload}
    return _validated(ConvertJob, _with_output(named))


def assemble_job(batch: str, /, **fields: Any) -> AssembleJob:
    """Build an `AssembleJob` from flat keywords, or raise `InvalidJob` naming the field."""
    return _validated(AssembleJob, {**fields, "batch": batch})


def _with_output(named: dict[str, Any]) -> dict[str, Any]:
    """Put what is said of the file where it belongs."""
    output = {name: named.pop(name) for name in ("format", "sample_rate_hz") if name in named}
    if output and "output" in named:
        raise InvalidJob("output", "is given beside " + " and ".join(output))
    return {**named, "output": output} if output else named


def decode(encoded: str | bytes) -> AnyJob:
    """Read a job off the wire, or raise `InvalidJob` or `UnsupportedSchema`."""
    try:
        fields = json.loads(encoded)
    except ValueError as error:
        raise InvalidJob("job", f"is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise InvalidJob("job", "is not a JSON object")
    # The version comes first: of a version that we do not know, nothing else can be said.
    if fields.get("schema_version") != SCHEMA_VERSION:
        raise UnsupportedSchema(fields.get("schema_version"), SCHEMA_VERSION)
    kind = fields.get("kind")
    model = _KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise InvalidJob("kind", f"{kind!r} is none of {', '.join(_KINDS)}")
    return _validated(model, fields)


def _validated(model: type[J], fields: dict[str, Any]) -> J:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise _first_problem(error) from error


def _first_problem(error: ValidationError) -> InvalidJob:
    """Turn pydantic's report into the one error a person needs: the field and what is wrong."""
    first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InvalidJob):
        return cause
    field = ".".join(str(part) for part in first["loc"]) or "job"
    problem = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return InvalidJob(field, "is not a parameter of this job")
    if first["type"] == "missing":
        return InvalidJob(field, "is missing")
    if first["type"] == "value_error":
        return InvalidJob(field, problem)
    return InvalidJob(field, f"{problem}, found {first['input']!r}")
