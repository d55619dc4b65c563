"""Subtitles: times to the millisecond, and text that stays text."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from worker.book.subtitles import subtitles
from worker.book.timeline import Cue

RATE_HZ = 22_050


def test_webvtt_has_its_heading_points_and_entities():
    cues = [Cue(0, RATE_HZ, "Tom & <b>Jerry</b>"), Cue(RATE_HZ, 3 * RATE_HZ // 2, "a\n\n--> b")]

    assert list(subtitles("vtt", cues, RATE_HZ)) == [
        *("WEBVTT", ""),
        *("1", "00:00:00.000 --> 00:00:01.000", "Tom &amp; &lt;b&gt;Jerry&lt;/b&gt;", ""),
        *("2", "00:00:01.000 --> 00:00:01.500", "a --&gt; b", ""),
    ]


def test_subrip_has_commas_and_no_heading():
    cues = [Cue(3_600 * RATE_HZ, 3_661 * RATE_HZ, "an hour --> later")]

    assert list(subtitles("srt", cues, RATE_HZ)) == [
        *("1", "01:00:00,000 --> 01:01:01,000", "an hour → later", ""),
    ]


def test_times_are_counted_from_the_origin_of_their_file():
    lines = list(subtitles("vtt", [Cue(5 * RATE_HZ, 6 * RATE_HZ, "x")], RATE_HZ, 5 * RATE_HZ))

    assert lines[3] == "00:00:00.000 --> 00:00:01.000"


@given(st.integers(0, 40 * 3_600 * 48_000), st.sampled_from([8_000, 22_050, 44_100, 48_000]))
def test_a_time_is_the_nearest_millisecond(sample, rate_hz):
    line = list(subtitles("vtt", [Cue(0, sample, "x")], rate_hz))[3]

    hours, minutes, seconds, ms = map(int, re.split("[:.]", line.split(" --> ")[1]))
    told_ms = ((hours * 60 + minutes) * 60 + seconds) * 1_000 + ms
    assert abs(told_ms - sample * 1_000 / rate_hz) <= 0.5
