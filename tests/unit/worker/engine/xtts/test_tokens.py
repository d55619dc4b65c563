"""Texts to ids: those of coqui-tts wherever it can read, and a clear way out where it cannot."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engine.errors import ChunkFailed, ChunkTooLong, EngineError, UnsupportedLanguage

torch = pytest.importorskip("torch")

#: One text of each language that needs nothing but coqui-tts itself.
TEXTS = {
    "en": "Dr. Smith paid $5.50 on the 3rd of May, 1,234 times.",
    "en-us": '  MIXED Case, "quoted" & spaced   out. ',
    "es": "El Sr. Gómez tiene 21 años y 3 gatos.",
    "fr": "Mme Dupont a 80 % de 12,5 €.",
    "de": "Das 3. Haus kostet 1.234,50 € und mehr.",
    "it": "Il 2° giorno, 15 euro.",
    "pt": "Não é a 1ª vez: custa R$ 10 & mais.",
    "pt-br": "O pão está às 7 horas.",
    "pl": "To jest 5 kotów i 100%.",
    "tr": "İstanbul'da 3 ÖRNEK Ürün.",
    "ru": "Это 2-й раз из 15.",
    "nl": "De 2e keer kost 7 euro.",
    "cs": "Mám 3 kočky a 5 psů.",
    "ar": "عندي 3 كتب",
    "hu": "A 2. nap, 10 óra.",
    "ko": "안녕하세요 3번째 사람",
    "hi": "नमस्ते दुनिया",
}


@pytest.fixture(scope="module")
def tokenizer(written_checkpoint):
    from worker.engine.xtts.tokens import Tokenizer

    return Tokenizer(written_checkpoint / "vocab.json", 401)


@pytest.fixture(scope="module")
def endless_tokenizer(written_checkpoint):
    """One that no text is too long for."""
    from worker.engine.xtts.tokens import Tokenizer

    return Tokenizer(written_checkpoint / "vocab.json", 10**6)


@pytest.fixture(scope="module")
def judge(written_checkpoint):
    """The tokenizer of coqui-tts."""
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

    return VoiceBpeTokenizer(written_checkpoint / "vocab.json")


@pytest.mark.parametrize("language", TEXTS)
def test_the_ids_are_those_of_coqui_tts(tokenizer, judge, language):
    text = TEXTS[language]

    found = tokenizer.encode(text, language)

    assert list(found) == judge.encode(text.strip().lower(), language)
    assert len(found) > len(text) / 2


@pytest.mark.parametrize(
    ("language", "text", "read_as"),
    [
        ("hi", "मेरे पास 42 किताबें", "मेरे पास चार दो किताबें"),
        ("cs", "Dne 1. ledna.", "Dne 1 ledna."),
        ("cs", "Narozen 1989. Zemřel 2020.", "Narozen 1989 . Zemřel 2020 ."),
    ],
)
def test_what_coqui_tts_cannot_read_is_read_more_simply(tokenizer, judge, language, text, read_as):
    with pytest.raises(NotImplementedError):
        judge.encode(text.lower(), language)

    assert list(tokenizer.encode(text, language)) == judge.encode(read_as.lower(), language)


@pytest.mark.parametrize("language", ["en", "tr", "ru"])
def test_a_number_that_has_no_name_is_read_digit_by_digit(tokenizer, judge, language):
    number = "9" * 400
    with pytest.raises((OverflowError, KeyError)):
        judge.encode(number, language)

    wanted = len(judge.encode("9 " * 400, language))

    with pytest.raises(ChunkTooLong, match=f"has {wanted} tokens"):
        tokenizer.encode(number, language)


@pytest.mark.parametrize(("letters", "is_short_enough"), [(400, True), (401, False)])
def test_a_text_may_have_as_many_tokens_as_the_model_takes(tokenizer, letters, is_short_enough):
    text = "a" * letters

    if is_short_enough:
        # One more names the language.
        assert len(tokenizer.encode(text, "en")) == 401
    else:
        with pytest.raises(ChunkTooLong, match="has 402 tokens, the model takes 401 at most"):
            tokenizer.encode(text, "en")


@pytest.mark.parametrize(
    ("language", "text", "helper"), [("ja", "こんにちは", "cutlet"), ("zh-cn", "你好", "pypinyin")]
)
def test_a_language_whose_reader_is_not_installed_is_refused_by_name(
    tokenizer, monkeypatch, language, text, helper
):
    monkeypatch.setitem(sys.modules, helper, None)

    with pytest.raises(UnsupportedLanguage, match=helper):
        tokenizer.encode(text, language)


#: Each is a trap for what writes out numbers, in some language.
TRAPS = """
    0 007 1. 2. 1st 22nd 1er 2e 1ª 2º 3° 2-й 제1 1번째 3) 100% $5 5$ €20 20,15€ £3 3.50£ 1,234
    1.234,5 1,234,567.89 12/31/1999 31.12.1999 1999-12-31 10:30:05 19h30 -5 1e10 10^6 1–2 1'000
    ٣ ४२ ² ½ Ⅳ 12..5 1.2.3.4 1,,2 .5 ,5 5. 5, $. €, 1.€ £,1 0,00€ №5 §5 Dr. Mr. Sr. St. & @ # °
    36.6°C a@b.com C# ... !? " «» İ ß 🙂 http://a.b/c?d=1&e=2 1000000000000000000000000000000000.
    999999999999999999999999999999 $9999999999999999999999999999999999999999
"""


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(TEXTS)),
    st.lists(st.sampled_from(TRAPS.split()), min_size=1, max_size=3),
    st.sampled_from([" ", "", " a ", ", "]),
)
def test_no_number_date_price_or_abbreviation_is_unreadable(
    endless_tokenizer, language, traps, between
):
    assert endless_tokenizer.encode(between.join(traps), language)


def test_a_text_that_no_way_can_read_fails_alone_and_tells_why(tokenizer, monkeypatch):
    def broken(text, language):
        raise RuntimeError("out of words")

    monkeypatch.setattr(tokenizer._reader, "encode", broken)

    with pytest.raises(ChunkFailed, match=r"'en': RuntimeError: out of words"):
        tokenizer.encode("never read before", "en")


def test_without_coqui_tts_it_is_told_what_is_missing(written_checkpoint, monkeypatch):
    from worker.engine.xtts.tokens import Tokenizer

    monkeypatch.setitem(sys.modules, "TTS.tts.layers.xtts.tokenizer", None)

    with pytest.raises(EngineError, match="coqui-tts"):
        Tokenizer(written_checkpoint / "vocab.json", 401)


def test_many_threads_get_the_same_ids(tokenizer, judge):
    texts = [f"This is number {number}." for number in range(50)] * 4

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda text: tokenizer.encode(text, "en"), texts))

    assert [list(ids) for ids in found] == [judge.encode(text.lower(), "en") for text in texts]


def test_a_long_text_is_not_written_into_the_log(endless_tokenizer, caplog):
    endless_tokenizer.encode("A secret of many words. " * 40, "en")

    assert "secret" not in caplog.text
