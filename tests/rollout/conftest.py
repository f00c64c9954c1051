"""A cluster on real hosts, rolled out once for the whole story."""

import os
import shutil
import zipfile
from pathlib import Path

import pytest
from lab import Lab


@pytest.fixture(scope="module")
def wheel():
    return Path(os.environ["CRONCORD_TEST_WHEEL"])


@pytest.fixture(scope="module")
def next_wheel(wheel, tmp_path_factory):
    """What is upgraded to: as named, else the same program as another build, hence another release."""
    if named := os.environ.get("CRONCORD_TEST_NEXT_WHEEL"):
        return Path(named)
    path = tmp_path_factory.mktemp("next") / wheel.name
    shutil.copy(wheel, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"built again"
    return path


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Three bare hosts."""
    program = os.environ.get("CRONCORD_TEST_HOSTS")
    if not program:
        pytest.skip("CRONCORD_TEST_HOSTS names no program that makes hosts; see run.sh beside this")
    found = Lab(program, tmp_path_factory.mktemp("rollout"))
    found.down()
    found.up(3)
    yield found
    if not os.environ.get("CRONCORD_TEST_KEEP_HOSTS"):
        found.down()


@pytest.fixture(scope="module")
def cluster(lab, wheel):
    """The same hosts with a cluster on them."""
    recap = lab.play("site.yml", wheel=wheel)
    assert (recap.failed, recap.unreachable) == (0, 0), recap.output
    return lab
