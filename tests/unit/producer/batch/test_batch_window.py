"""A window is open when the clock on the wall says so, whatever the clock does that night."""

from __future__ import annotations

import math
from datetime import datetime, time, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from producer.batch.schedule import Schedule, moment_of, zone_of
from producer.batch.window import Window
from producer.errors import InvalidJob

BERLIN = ZoneInfo("Europe/Berlin")

#: Half an hour of summer time, a day that was left out, changes at midnight, none at all.
ZONES = [
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata"),
    *("America/Sao_Paulo", "Africa/Casablanca", "America/St_Johns", "UTC"),
]

windows = st.builds(
    Window,
    st.times().map(lambda at: at.replace(second=0, microsecond=0, tzinfo=None)),
    st.times().map(lambda at: at.replace(second=0, microsecond=0, tzinfo=None)),
    st.sampled_from(ZONES).map(ZoneInfo),
).filter(lambda window: window.opens != window.closes)

#: 2004 to 2030: with all that the zones above have been through.
moments = st.integers(1_075_000_000, 1_900_000_000)


def at(text: str, zone: ZoneInfo = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def wall(moment_s: float, zone: ZoneInfo) -> time:
    return datetime.fromtimestamp(moment_s, zone).time()


def has_open(window: Window, moment_s: float) -> bool:
    return Schedule(window).left_s(moment_s) > 0


@settings(deadline=None)
@given(window=windows, now_s=moments)
def test_on_ordinary_days_it_is_open_between_its_times_and_at_no_other(window, now_s):
    days = [now_s + hours * 3600 for hours in range(-72, 73)]
    offsets = {datetime.fromtimestamp(day, window.zone).utcoffset() for day in days}
    assume(len(offsets) == 1)
    now = wall(now_s, window.zone)

    inside = (
        window.opens <= now < window.closes
        if window.opens < window.closes
        else now >= window.opens or now < window.closes
    )

    assert has_open(window, now_s) == inside


@settings(deadline=None)
@given(window=windows, now_s=moments)
def test_every_night_begins_and_ends_at_the_times_on_the_wall_unless_they_are_skipped(
    window, now_s
):
    for opens_s, closes_s in islice(window.nights(now_s), 5):
        for edge_s, time_of_day in ((opens_s, window.opens), (closes_s, window.closes)):
            shown = wall(edge_s, window.zone)
            # The clock jumps here: a second ago it showed a time before, now one behind.
            jumped = wall(edge_s - 1, window.zone) != wall_minus_a_second(edge_s, window.zone)
            assert shown == time_of_day or jumped


def wall_minus_a_second(moment_s: float, zone: ZoneInfo) -> time:
    now = datetime.fromtimestamp(moment_s, zone).replace(tzinfo=None)
    return (now - timedelta(seconds=1)).time()


@settings(deadline=None)
@given(window=windows, now_s=moments)
def test_the_edges_are_exact_to_the_second(window, now_s):
    nights = list(islice(window.nights(now_s), 4))

    for (opens_s, closes_s), (next_s, _) in pairwise(nights):
        assert opens_s < closes_s <= next_s
        assert has_open(window, opens_s)
        assert has_open(window, closes_s - 1)
        assert has_open(window, closes_s) == (closes_s == next_s)
        if closes_s < next_s:
            assert not has_open(window, next_s - 1)


@settings(deadline=None)
@given(window=windows, now_s=moments)
def test_there_is_a_night_within_four_days_and_none_is_left_out(window, now_s):
    opens_s = Schedule(window).opens_s(now_s)

    assert opens_s is not None
    assert now_s <= opens_s < now_s + 4 * 86_400
    assert has_open(window, opens_s)
    assert not any(has_open(window, now_s + part * (opens_s - now_s) / 7) for part in range(7)) or (
        opens_s == now_s
    )


@settings(deadline=None)
@given(
    window=windows | st.none(),
    now_s=moments,
    not_before_s=moments | st.just(-math.inf),
    deadline_s=moments | st.just(math.inf),
    work_s=st.floats(1, 20_000),
)
def test_the_end_of_work_has_exactly_that_much_open_time_before_it(
    window, now_s, not_before_s, deadline_s, work_s
):
    schedule = Schedule(window, not_before_s, deadline_s)

    finish_s = schedule.finish_s(now_s, work_s)

    spans = [span for span in islice(schedule.open_spans(now_s), 400) if span[0] < deadline_s]
    if finish_s is None:
        assert sum(end - begin for begin, end in spans) < work_s
        return
    done_s = sum(max(0.0, min(end, finish_s) - begin) for begin, end in spans)
    assert done_s == pytest.approx(work_s, abs=1e-3)
    assert max(now_s, not_before_s) <= finish_s <= deadline_s


@settings(deadline=None)
@given(
    window=windows | st.none(),
    not_before_s=moments | st.just(-math.inf),
    deadline_s=moments | st.just(math.inf),
)
def test_a_schedule_survives_its_way_through_redis(window, not_before_s, deadline_s):
    schedule = Schedule(window, not_before_s, deadline_s)

    fields = {name: str(value) for name, value in schedule.encode().items()}

    assert Schedule.decode(fields) == schedule


@pytest.mark.parametrize(
    ("evening", "hours"), [("2026-03-28", 8), ("2026-10-24", 10), ("2026-06-01", 9)]
)
def test_a_night_in_berlin_is_shorter_in_spring_and_longer_in_autumn(evening, hours):
    window = Window.parse("22:00-07:00", BERLIN)

    opens_s, closes_s = next(window.nights(at(f"{evening}T12:00")))

    assert opens_s == at(f"{evening}T22:00")
    assert closes_s - opens_s == hours * 3600


def test_a_time_that_is_skipped_is_the_moment_of_the_jump():
    window = Window.parse("02:30-04:00", BERLIN)

    opens_s, _ = next(window.nights(at("2026-03-29T00:00")))

    assert opens_s == at("2026-03-29T03:00")


def test_a_window_that_is_skipped_as_a_whole_opens_the_day_after():
    window = Window.parse("02:10-02:50", BERLIN)

    assert next(window.nights(at("2026-03-29T00:00")))[0] == at("2026-03-30T02:10")


def test_a_time_that_comes_twice_counts_the_first_time():
    window = Window.parse("02:30-05:00", BERLIN)

    opens_s, closes_s = next(window.nights(at("2026-10-25T00:00")))

    assert (closes_s - opens_s) / 3600 == 3.5


@pytest.mark.parametrize("text", ["22-7", "", "25:00-07:00", "22:00-22:00", "22:60-07:00"])
def test_what_is_no_window_is_refused(text):
    with pytest.raises(InvalidJob, match="window"):
        Window.parse(text, BERLIN)


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        (Schedule(None, deadline_s=at("2026-05-01T11:59")), "deadline"),
        (Schedule(None, at("2026-05-03T00:00"), at("2026-05-02T00:00")), "deadline"),
        (
            Schedule(Window.parse("22:00-07:00", BERLIN), deadline_s=at("2026-05-01T21:00")),
            "window",
        ),
        (
            Schedule(
                Window.parse("22:00-07:00", BERLIN),
                at("2026-05-02T08:00"),
                at("2026-05-02T20:00"),
            ),
            "window",
        ),
    ],
)
def test_a_schedule_that_never_opens_is_refused(schedule, field):
    with pytest.raises(InvalidJob) as refused:
        schedule.check(at("2026-05-01T12:00"))

    assert refused.value.field == field


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("07:00", "2026-05-02T07:00"),
        ("13:00", "2026-05-01T13:00"),
        ("2026-12-24T18:30", "2026-12-24T18:30"),
        ("2026-12-24", "2026-12-24T00:00"),
        ("2026-12-24T18:30+01:00", "2026-12-24T18:30"),
    ],
)
def test_a_moment_is_the_next_such_time_or_a_date(text, meant):
    assert moment_of("deadline", text, at("2026-05-01T12:00"), BERLIN) == at(meant)


@pytest.mark.parametrize("text", ["soon", "7", "2026-13-01T00:00"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(InvalidJob, match="deadline"):
        moment_of("deadline", text, at("2026-05-01T12:00"), BERLIN)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", "/etc/localtime", ""])
def test_what_is_no_zone_is_refused(name):
    with pytest.raises(InvalidJob, match="tz"):
        zone_of(name)
