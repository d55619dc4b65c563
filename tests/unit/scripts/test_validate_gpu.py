"""`scripts/validate-gpu.sh` on machines of every kind; their commands are stand-ins."""

from __future__ import annotations

import pytest

from tests.unit.scripts.machine import CHECKOUT, FILES, Machine, run, verdict_of

#: Machines that can run the image, and what the script says in yellow there.
FIT = {
    "an H200": (Machine(), set()),
    "a 12 GB card that tells of 11.9 GiB": (
        Machine(cards=("0, NVIDIA GeForce RTX 3060, 12282, 8.6",)),
        set(),
    ),
    "a V100, the oldest that torch still carries": (
        Machine(cards=("0, Tesla V100-SXM2-16GB, 16384, 7.0",)),
        set(),
    ),
    "a Blackwell card, whose capability has two digits": (
        Machine(cards=("0, NVIDIA GeForce RTX 5090, 32607, 12.0",)),
        set(),
    ),
    "the oldest Docker and driver": (
        Machine(docker="20.10.24+dfsg1", devices=None, driver="525.60.13"),
        set(),
    ),
    "an engine with devices of the container device interface": (
        Machine(runtimes="runc ", devices='[{"Source":"cdi","ID":"nvidia.com/gpu=0"}]'),
        set(),
    ),
    "a toolkit that is a hook alone": (Machine(runtimes="runc ", has_hook=True), set()),
    "a fit card beside one that drives the screen": (
        Machine(cards=("0, NVIDIA GT 1030, 2048, 6.1", "1, NVIDIA L4, 23034, 8.9")),
        {"gpu"},
    ),
    "a part that shares the machine's memory": (
        Machine(cards=("0, NVIDIA GB10, [N/A], 12.1",)),
        {"gpu"},
    ),
    "room to run but not to build": (Machine(free_gib=30), {"disk"}),
    "a Compose that cannot read the file for processors": (Machine(compose="v2.20.2"), {"compose"}),
}

#: Machines that cannot, the lines that are red there, and words of their explanation.
UNFIT = {
    "a GTX 1050 Ti": (
        Machine(cards=("0, NVIDIA GeForce GTX 1050 Ti, 4096, 6.1",)),
        {"gpu": "4096 MiB of memory, 11776 are needed; compute capability 6.1, 7.0 is needed"},
    ),
    "a machine without a driver": (Machine(driver=None), {"driver": "install NVIDIA's driver"}),
    "a driver whose module is not loaded": (
        Machine(driver_error="NVIDIA-SMI has failed because it couldn't communicate"),
        {"driver": "couldn't communicate"},
    ),
    "a driver before CUDA 12": (Machine(driver="470.256.02"), {"driver": "too old for CUDA 12"}),
    "a driver that does not tell the capability": (
        Machine(tells_capability=False),
        {"gpu": "capability is not told"},
    ),
    "a driver without a card": (Machine(cards=()), {"gpu": "sees no GPU"}),
    "a card of 8 GB": (Machine(cards=("0, NVIDIA GeForce RTX 3070, 8192, 8.6",)), {"gpu": "8192"}),
    "a machine without Docker": (
        Machine(docker=None),
        {"docker": "install Docker Engine", "compose": "install the Compose plugin"},
    ),
    "an engine that does not answer": (Machine(docker=""), {"docker": "does not answer"}),
    "an old Docker": (Machine(docker="19.03.15"), {"docker": "20.10 or later is needed"}),
    "Compose of version 1 alone": (
        Machine(compose="", has_compose_v1=True),
        {"compose": "only docker-compose, version 1"},
    ),
    "a machine without the toolkit": (
        Machine(runtimes="io.containerd.runc.v2 runc "),
        {"toolkit": "is not there"},
    ),
    "a toolkit that Docker was not told of": (
        Machine(runtimes="runc ", has_ctk=True),
        {"toolkit": "nvidia-ctk runtime configure"},
    ),
    "a full disk": (Machine(free_gib=3), {"disk": "3 GiB free"}),
    "half a checkout": (
        Machine(files=FILES[:-1]),
        {"files": ".dockerignore"},
    ),
}


@pytest.mark.parametrize("name", FIT)
def test_a_machine_that_is_fit_passes(name, tmp_path):
    machine, yellow = FIT[name]

    verdict = verdict_of(machine, tmp_path)

    assert (verdict.exit_code, verdict.fit, verdict.red) == (0, True, set())
    assert {name for name, state, _ in verdict.lines if state == "yellow"} == yellow
    assert {line[0] for line in verdict.lines} == {
        *("driver", "gpu", "docker", "toolkit", "compose", "disk", "files")
    }


@pytest.mark.parametrize("name", UNFIT)
def test_a_machine_that_is_not_fit_fails_and_is_told_why(name, tmp_path):
    machine, reasons = UNFIT[name]

    verdict = verdict_of(machine, tmp_path)

    assert (verdict.exit_code, verdict.fit) == (1, False)
    assert verdict.red == set(reasons)
    for line, words in reasons.items():
        assert words in verdict.detail(line)


def test_every_card_has_a_line(tmp_path):
    cards = tuple(f"{index}, NVIDIA H100, 81559, 9.0" for index in range(8))

    assert verdict_of(Machine(cards=cards), tmp_path).states("gpu") == ["green"] * 8


def test_people_get_lines_and_a_verdict_without_colours_in_a_pipe(tmp_path):
    ran = run(Machine(free_gib=30).build(tmp_path))

    lines = ran.stdout.splitlines()
    assert ran.returncode == 0
    assert "\x1b" not in ran.stdout
    assert [line.split()[0] for line in lines[:-1]] == [
        *("green", "green", "green", "green", "green", "yellow", "green")
    ]
    assert lines[-1] == "This machine can run the GPU image."


def test_quotes_and_control_characters_do_not_break_the_json(tmp_path):
    verdict = verdict_of(Machine(driver_error='it says "no"\tand \\'), tmp_path)

    assert 'it says "no" and \\' in verdict.detail("driver")


def test_an_unknown_flag_is_a_usage_error(tmp_path):
    ran = run(Machine().build(tmp_path), "--fix")

    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--json" in ran.stderr


@pytest.mark.parametrize(
    ("constant", "written"), [("min_memory_mib", "11.5 * 2**30"), ("min_capability", "(7, 0)")]
)
def test_the_worker_draws_the_same_line(constant, written):
    script = (CHECKOUT / "scripts" / "validate-gpu.sh").read_text()
    limits = {"min_memory_mib": f"{int(11.5 * 1024)}", "min_capability": "7.0"}

    assert f"{constant}={limits[constant]}\n" in script
    assert written in (CHECKOUT / "worker" / "gpus.py").read_text()
