"""The inquest: those that kill are found, those that stood beside them are not blamed."""

from __future__ import annotations

from math import ceil, log2

from hypothesis import given
from hypothesis import strategies as st

from worker.inquest import Inquest


class Trial:
    """Processes in which chunks run, and die if one of the killers is among them."""

    def __init__(self, max_deaths: int, killers: set[str]) -> None:
        self.inquest = Inquest(max_deaths)
        self.killers = killers
        self.deaths = 0
        self.deaths_alone = 0
        self.given_up: list[str] = []
        self.finished: list[str] = []

    def run(self, names: list[str]) -> None:
        """Run some chunks together in one process."""
        if self.killers & set(names):
            self.deaths += 1
            self.deaths_alone += len(names) == 1
            ended = self.inquest.blame(names)
            self.given_up += ended
        else:
            self.finished += names
            ended = names
        for name in ended:
            self.inquest.clear(name)


@given(
    count=st.integers(1, 40),
    max_deaths=st.integers(1, 6),
    data=st.data(),
)
def test_every_killer_is_given_up_and_nobody_else(count, max_deaths, data):
    names = [str(number) for number in range(count)]
    killers = set(data.draw(st.lists(st.sampled_from(names), max_size=4)))
    trial = Trial(max_deaths, killers)

    trial.run(names)
    while trial.inquest:
        trial.run(trial.inquest.group())

    assert sorted(trial.given_up) == sorted(killers)
    assert sorted(trial.finished) == sorted(set(names) - killers)
    assert trial.deaths_alone == max_deaths * len(killers)
    assert trial.deaths <= len(killers) * (ceil(log2(count)) + max_deaths)


def test_a_cohort_is_halved_with_every_death_until_a_suspect_is_alone():
    inquest = Inquest(max_deaths=3)
    together = [str(number) for number in range(100)]
    sizes = [len(together)]

    while len(together) > 1:
        assert inquest.blame(together) == []
        together = inquest.group()
        sizes.append(len(together))

    assert sizes == [100, 50, 25, 13, 7, 4, 2, 1]
    assert [inquest.blame(together) for _ in range(3)] == [[], [], together]


def test_a_death_with_nobody_in_the_process_makes_no_suspects():
    inquest = Inquest(max_deaths=3)

    assert inquest.blame([]) == []
    assert not inquest


@given(data=st.data(), count=st.integers(2, 30))
def test_every_suspect_runs_again_however_many_of_its_cohort_have_ended(data, count):
    names = [str(number) for number in range(count)]
    inquest = Inquest(max_deaths=3)
    inquest.blame(names)
    seen: set[str] = set()

    while inquest:
        group = inquest.group()
        seen.update(group)
        ended = data.draw(st.sets(st.sampled_from(group), min_size=1))
        for name in ended:
            inquest.clear(name)

    assert seen == set(names)
