"""A cluster on real hosts for each module that breaks it."""

import os
import random
from pathlib import Path

import pytest
from hosts_story import Story
from lab import Lab


@pytest.fixture(scope="module")
def host_count():
    """How many hosts a module wants; it overrides this."""
    return 3


@pytest.fixture(scope="module")
def story(host_count, tmp_path_factory):
    """A cluster of so many hosts, rolled out by the playbook, and nothing that happened to it yet."""
    program = os.environ.get("CRONCORD_TEST_HOSTS")
    if not program:
        pytest.skip("CRONCORD_TEST_HOSTS names no program that makes hosts; see run.sh beside this")
    notes = os.environ.get("CRONCORD_TEST_NOTES")
    directory = Path(notes) if notes else tmp_path_factory.getbasetemp()
    seed = int(os.environ.get("CRONCORD_TEST_SEED") or random.SystemRandom().randrange(10**6))
    directory = directory / f"{host_count}-hosts-{seed}-{os.getpid()}"
    directory.mkdir(parents=True, exist_ok=True)
    lab = Lab(program, directory)
    lab.down()
    lab.up(host_count)
    recap = lab.play("site.yml", wheel=Path(os.environ["CRONCORD_TEST_WHEEL"]))
    assert (recap.failed, recap.unreachable) == (0, 0), recap.output
    yield Story(lab, directory, seed)
    if not os.environ.get("CRONCORD_TEST_KEEP_HOSTS"):
        lab.down()
