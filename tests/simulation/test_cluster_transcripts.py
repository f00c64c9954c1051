"""What happens when ...: told command by command in tests/simulation/data/*.txt."""

from pathlib import Path

import pytest
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
