"""The language codes that a job may name.

The codes are those of espeak-ng 1.52 (BCP 47, lower case) and of XTTS-v2. Which of them a
worker really speaks is told by its engine; a code outside this set is spoken by none.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from .errors import InvalidJob

#: XTTS-v2's 17 languages with the characters that one chunk may have (its own tokenizer's
#: table); longer chunks make the model ramble or stop early.
XTTS_LIMIT_CHARS: Final = {
    "en": 250, "de": 253, "fr": 273, "es": 239, "it": 213, "pt": 203, "pl": 224, "zh": 82,
    "ar": 166, "cs": 186, "ru": 182, "nl": 251, "tr": 226, "ja": 71, "hu": 224, "ko": 95,
    "hi": 150,
}  # fmt: skip

#: What a chunk may have in every other language.
DEFAULT_LIMIT_CHARS: Final = 200

_ESPEAK = """
    af am an ar as az ba be bg bn bpy bs ca ca-ba ca-nw ca-va chr-us-qaaa-x-west cmn
    cmn-latn-pinyin cs cv cy da de el en en-029 en-gb en-gb-scotland en-gb-x-gbclan
    en-gb-x-gbcwmd en-gb-x-rp en-shaw en-us en-us-nyc eo es es-419 es-mx et eu fa fa-latn fi fo
    fr fr-be fr-ch fr-fr ga gd gn grc gu hak haw hbs he hi hr ht hu hy hy-arevela hy-arevmda hyw
    ia id io is it ja jbo ka kaa kk kl kn ko kok ku ky la lb lfn lt ltg lv mi mk ml mr ms mt mto
    my nb nci ne nl no nog om or pa pap piqd pl pt pt-br pt-pt py qdb qu quc qya ro ru ru-cl
    ru-lv sd shn si sjn sk sl smj sq sr sv sw ta te th ti tk tn tr tt ug uk ur uz vi
    vi-vn-x-central vi-vn-x-south xex yue zh zh-cmn zh-yue
"""

#: Every code a job may carry.
LANGUAGES: Final = frozenset(_ESPEAK.split()) | frozenset(XTTS_LIMIT_CHARS) | {"zh-cn"}


def check_language(code: str) -> str:
    """Return `code` in its normal form (`pt_BR` -> `pt-br`), or raise `InvalidJob`."""
    normal = code.strip().lower().replace("_", "-")
    if normal in LANGUAGES:
        return normal
    near = get_close_matches(normal, LANGUAGES, n=1)
    hint = f", did you mean {near[0]!r}?" if near else ""
    raise InvalidJob("language", f"{code!r} is no language code that the farm knows{hint}")


def chunk_limit_chars(language: str) -> int:
    """Return how many characters one chunk of this language may have."""
    return XTTS_LIMIT_CHARS.get(language.partition("-")[0], DEFAULT_LIMIT_CHARS)
