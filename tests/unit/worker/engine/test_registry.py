"""The registry: engines by name, from plain data, and nothing imported that is not asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from worker.engine.errors import EngineError
from worker.engine.registry import EngineSpec, build, needs_process

CHECKOUT = Path(__file__).parents[4]


@pytest.mark.parametrize("name", ["fake", "espeak"])
def test_light_engines_can_be_made_without_options(name):
    model = build(name, {})
    model.load()

    assert model.offer().engine == name
    model.close()


@pytest.mark.parametrize("name", ["fake", "espeak"])
def test_options_reach_the_model(name):
    model = build(name, {"slots": 3})
    model.load()

    assert model.offer().slots == 3
    model.close()


def test_an_unknown_engine_is_told_with_the_known_ones():
    with pytest.raises(EngineError, match=r"'xtts9'.*espeak, fake"):
        build("xtts9", {})


def test_an_unknown_option_is_told():
    with pytest.raises(EngineError, match="sped"):
        build("fake", {"sped": 1})


def test_a_spec_survives_json():
    spec = EngineSpec("fake", {"slots": 3, "fail_on": "bad"}, slots=2, interactive_share=0.2)

    assert EngineSpec.decode(json.loads(json.dumps(spec.encode()))) == spec


@pytest.mark.parametrize("name", ["fake", "espeak"])
def test_light_engines_need_no_process_of_their_own(name):
    assert not needs_process(name)


def test_the_registry_itself_imports_no_engine():
    code = (
        "import sys, worker.engine.registry; "
        "sys.exit(any(name in sys.modules for name in "
        "('worker.engine.fake', 'worker.engine.espeak', 'worker.engine.xtts', 'espeakng_loader')))"
    )

    assert subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=False).returncode == 0
