"""espeak-ng: real speech, the same every time, and nothing in a text is a command."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import espeakng_loader
import numpy as np
import pytest

from producer.languages import LANGUAGES
from tests.conftest import missing
from worker.engine.errors import EngineError, UnknownVoice, UnsupportedLanguage
from worker.engine.espeak import EspeakModel, tempo
from worker.engine.request import ChunkRequest, Samples, Sound

SENTENCE = ChunkRequest(
    "sentence", "Hello from the farm, this is a sentence. And another one.", "en", "default", 7
)


@pytest.fixture(scope="module")
def model() -> Iterator[EspeakModel]:
    model = EspeakModel(slots=3)
    model.load()
    model.warm_up()
    yield model
    model.close()


def spoken(model: EspeakModel, request: ChunkRequest = SENTENCE, **change: object) -> Samples:
    model.prefill([(0, replace(request, **change))])
    (outcome,) = model.vocode(model.decode(), wait=True).values()
    assert not isinstance(outcome, Exception)
    return outcome.samples


def children() -> set[int]:
    """The processes that this one has started; those of other tests' servers are among them."""
    lists = Path("/proc/self/task").glob("*/children")
    return {int(pid) for pids in lists for pid in pids.read_text().split()}


@pytest.fixture
def loaded() -> Iterator[tuple[EspeakModel, int]]:
    """A model of the test's own, and its process."""
    others = children()
    model = EspeakModel()
    model.load()
    [pid] = children() - others
    yield model, pid
    model.close()


def pitch_hz(samples: Samples, rate_hz: int) -> float:
    """The strongest period between 60 and 400 Hz, by autocorrelation."""
    spectrum = np.abs(np.fft.rfft(samples, 2 * len(samples))) ** 2
    similarity = np.fft.irfft(spectrum)
    shortest, longest = rate_hz // 400, rate_hz // 60
    return rate_hz / (shortest + int(similarity[shortest:longest].argmax()))


def test_a_sentence_is_speech_of_a_sensible_length_and_loudness(model):
    samples = spoken(model)

    assert samples.dtype == np.float32
    assert 3.0 < len(samples) / model.offer().sample_rate_hz < 4.0
    assert 0.3 < np.abs(samples).max() <= 1.0


@pytest.mark.parametrize("text", ["Hello from the farm", SENTENCE.text])
def test_it_lasts_as_long_as_the_command_line_takes_for_it(model, tmp_path, text):
    command = shutil.which("espeak-ng") or missing("the espeak-ng command line")
    file = tmp_path / "said.wav"
    subprocess.run([command, "-v", "en", "-w", str(file), text], check=True)
    with wave.open(str(file)) as said:
        expected_s = said.getnframes() / said.getframerate()

    duration_s = len(spoken(model, text=text)) / model.offer().sample_rate_hz

    assert duration_s == pytest.approx(expected_s, rel=0.3)


@pytest.mark.parametrize("voice", ["default", "whisper", "croak", "f1", "klatt"])
def test_the_same_request_gives_the_same_samples_whatever_was_said_before(model, voice):
    first = spoken(model, voice=voice)
    spoken(model, text="Etwas anderes.", language="de", voice="f2")
    spoken(model, text="12", language="ja", seed=1)

    assert np.array_equal(spoken(model, voice=voice), first)


def test_the_seed_decides_the_breath_of_a_whisper(model):
    assert not np.array_equal(
        spoken(model, voice="whisper", seed=1), spoken(model, voice="whisper", seed=2)
    )


def test_every_offered_language_speaks_and_clients_know_its_code(model):
    languages = model.offer().languages

    assert set(languages) <= LANGUAGES
    assert len(languages) > 100
    for code in languages:
        assert np.abs(spoken(model, text="mama 2", language=code)).max() > 0.05, code


@pytest.mark.parametrize(
    ("code", "same_as"), [("zh", "cmn"), ("zh-cn", "cmn"), ("en", "en-gb"), ("pt", "pt-pt")]
)
def test_a_code_may_be_another_name_of_a_language(model, code, same_as):
    text = "12 345"

    assert np.array_equal(
        spoken(model, text=text, language=code), spoken(model, text=text, language=same_as)
    )


def test_a_country_has_its_own_accent(model):
    british, american = (spoken(model, language=code) for code in ("en", "en-us"))

    assert len(british) != len(american)


def test_voices_sound_different_and_each_has_its_own_revision(model):
    voices = model.offer().voices
    rate_hz = model.offer().sample_rate_hz

    assert {"default", "f1", "whisper", "croak"} <= {voice.name for voice in voices}
    assert len({voice.revision for voice in voices}) == len(voices)
    default, female = (pitch_hz(spoken(model, voice=name), rate_hz) for name in ("default", "f1"))
    assert female > 1.3 * default


@pytest.mark.parametrize("speed", [0.25, 0.4, 0.5, 0.8, 1.5, 2.0, 3.0, 4.0])
def test_the_length_follows_the_speed(model, speed):
    ratio = len(spoken(model, parameters={"speed": speed})) / len(spoken(model))

    assert ratio * speed == pytest.approx(1.0, rel=0.2)


def test_words_are_pulled_apart_only_where_they_cannot_be_stretched():
    assert tempo(1.0) == (175, 0)
    assert tempo(80 / 175) == (80, 0)
    assert tempo(0.25) == (80, 19)
    assert tempo(4.0) == (700, 0)


@pytest.mark.parametrize(
    ("text", "if_obeyed"),
    [
        ("<speak>one</speak>", "one"),
        ("one <break time='3s'/> two", "one two"),
        ("one [[t'u:]] two", "one two two"),
    ],
)
def test_markup_is_spoken_and_not_obeyed(model, text, if_obeyed):
    assert len(spoken(model, text=text)) > 1.3 * len(spoken(model, text=if_obeyed))


@pytest.mark.parametrize("character", ["\x00", "\x01", "\x1b", "\x7f"])
def test_control_characters_are_spaces(model, character):
    # ctrl-A and a number with S would set the tempo.
    text = f"one {character}400S two"

    assert np.array_equal(
        spoken(model, text=text), spoken(model, text=text.replace(character, " "))
    )


def test_any_unicode_is_taken(model):
    assert len(spoken(model, text="one \ud800 🎉 \u202e two")) > len(spoken(model, text="one"))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"voice": "anna"}, UnknownVoice),
        ({"voice": "../../lang/gmw/de"}, UnknownVoice),
        ({"language": "xx"}, UnsupportedLanguage),
        ({"language": "gmw/en"}, UnsupportedLanguage),
    ],
)
def test_what_it_does_not_offer_it_refuses(model, change, error):
    with pytest.raises(error):
        model.check(replace(SENTENCE, **change))


def test_what_it_offers_it_accepts(model):
    offer = model.offer()

    for voice in offer.voices:
        model.check(replace(SENTENCE, voice=voice.name))
    assert offer.revision.startswith("espeak-ng-1.")


def test_models_of_one_process_do_not_disturb_each_other(model):
    expected = spoken(model)
    wrong: list[int] = []

    def speak(number: int) -> None:
        own = EspeakModel()
        own.load()
        for _ in range(5):
            if not np.array_equal(spoken(own), expected):
                wrong.append(number)
        own.close()

    threads = [threading.Thread(target=speak, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_rows_are_spoken_one_by_one_in_the_order_they_came_unless_released(model):
    model.prefill([(2, SENTENCE), (0, SENTENCE), (1, SENTENCE)])

    model.release([0])
    ended = [list(model.decode())]
    model.vocode(ended[0], wait=True)
    ended.append(list(model.decode()))
    model.vocode(ended[1], wait=True)

    assert ended == [[2], [1]]
    assert list(model.decode()) == []


@pytest.mark.parametrize(
    ("language", "text"), [("hi", "---लच्छेद"), ("kl", "Hello there number 598")]
)
def test_a_text_that_crashes_the_library_fails_alone(model, language, text):
    model.prefill([(0, replace(SENTENCE, text=text, language=language))])

    # libespeak-ng 1.52 crashes on these; a later one may speak them.
    (outcome,) = model.vocode(model.decode(), wait=True).values()

    assert isinstance(outcome, Sound) or "SIGSEGV" in str(outcome)
    assert len(spoken(model)) > 0


def test_a_process_that_was_killed_fails_one_text_at_most(loaded):
    model, pid = loaded
    expected = spoken(model)

    os.kill(pid, signal.SIGKILL)
    model.prefill([(0, SENTENCE)])
    model.vocode(model.decode(), wait=True)

    assert np.array_equal(spoken(model), expected)


def test_nothing_runs_on_when_the_model_is_closed(loaded):
    model, pid = loaded

    model.close()

    assert not Path(f"/proc/{pid}").exists()


def test_a_broken_library_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(espeakng_loader, "get_library_path", lambda: str(tmp_path / "none.so"))

    with pytest.raises(EngineError, match="espeak-ng does not work"):
        EspeakModel().load()


def test_without_the_wheel_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)

    with pytest.raises(EngineError, match=r"pip install 'voicefarm\[embedded\]'"):
        EspeakModel().load()
