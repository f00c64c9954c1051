"""What happens when ...: told command by command in tests/simulation/data/*.txt."""

from itertools import product
from pathlib import Path

import pytest
from cluster_jobs import OVERLAPS
from cluster_loop import simulate
from cluster_stage import Stage
from datadriven import play

TRANSCRIPTS = sorted((Path(__file__).parent / "data").glob("what_happens_*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_transcript_is_what_happens(path, request):
    rewrite = request.config.getoption("--rewrite")

    async def told() -> None:
        stage = Stage()
        await play(path, stage.handle, rewrite=rewrite)
        stage.world.is_over = True

    simulate(told())


def test_every_combination_of_misfire_overlap_and_delivery_is_told():
    name = "what_happens_when_three_minutes_are_missed.txt"
    lines = (Path(__file__).parent / "data" / name).read_text().splitlines()
    for misfire, overlap, delivery in product(
        ("skip", "run_once", "run_all"), OVERLAPS, ("most", "least")
    ):
        assert f"{misfire}-{overlap}-{delivery}:" in lines
