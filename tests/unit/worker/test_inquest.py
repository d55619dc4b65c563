"""The inquest: those that kill are found, those that stood beside them are not blamed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.inquest import Inquest


class Trial:
    """Processes in which chunks run, and die if one of the killers is among them."""

    def __init__(self, slots: int, max_deaths: int, killers: set[str]) -> None:
        self.inquest = Inquest(slots, max_deaths)
        self.killers = killers
        self.deaths = 0
        self.given_up: list[str] = []
        self.finished: list[str] = []

    def run(self, names: list[str]) -> None:
        """Run some chunks together in one process."""
        if self.killers & set(names):
            self.deaths += 1
            ended = self.inquest.blame(names)
            self.given_up += ended
        else:
            self.finished += names
            ended = names
        for name in ended:
            self.inquest.clear(name)


@given(
    slots=st.integers(1, 40),
    max_deaths=st.integers(2, 6),
    data=st.data(),
)
def test_every_killer_is_given_up_and_nobody_else(slots, max_deaths, data):
    names = [str(number) for number in range(slots)]
    killers = set(data.draw(st.lists(st.sampled_from(names), max_size=4)))
    trial = Trial(slots, max_deaths, killers)

    trial.run(names)
    while trial.inquest:
        trial.run(trial.inquest.group())

    assert sorted(trial.given_up) == sorted(killers)
    assert sorted(trial.finished) == sorted(set(names) - killers)
    assert trial.deaths <= 1 + len(killers) * (max_deaths - 1)


@given(slots=st.integers(1, 400), max_deaths=st.integers(2, 6))
def test_groups_shrink_with_every_death_until_a_suspect_is_alone(slots, max_deaths):
    inquest = Inquest(slots, max_deaths)
    together = [str(number) for number in range(slots)]
    sizes = [len(together)]

    for _ in range(max_deaths - 1):
        assert inquest.blame(together) == []
        together = inquest.group()
        sizes.append(len(together))

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1
    assert inquest.blame(together) == together


def test_a_chunk_that_may_be_in_one_dead_process_only_is_given_up_at_once():
    inquest = Inquest(slots=8, max_deaths=1)

    assert inquest.blame(["a", "b"]) == ["a", "b"]
