"""A screen that is written down: every picture with its time, in a folder or as a film."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meshchat.codec import encode_exact
from meshchat.errors import MeshchatError, UsageError
from meshchat.looking.recording import record
from meshchat.media.operations import Operation, Put, Size, encode_operations
from meshchat.media.parts import PRESENT, Slice
from meshchat.media.tiles import Rect
from meshchat.units import PeerId, Pixels
from meshchat.web.server import Gallery

PEER = PeerId("b0" * 32)

RED, BLUE = 0xC02010, 0x1020C0


def flat(colour: int, width: int, height: int) -> tuple[Operation, Operation]:
    page: Pixels = np.full((height, width), colour, np.uint32)
    return Size(width, height), Put(Rect(0, 0, width, height), encode_exact(page), exact=True)


async def played(path: Path, *pages: tuple[Operation, ...]) -> str:
    """Records a feed that shows these pages, 150 ms each, and ends."""
    viewers = asyncio.Event()
    gallery = Gallery(lambda _: viewers.set(), lambda _: None)
    await gallery.open()
    try:
        recording = asyncio.create_task(record(gallery.links(PEER, "bob")[1], path))
        while not (viewers.is_set() or recording.done()):
            await asyncio.sleep(0.01)
        for number, page in enumerate(pages):
            gallery.show(PEER, Slice(number + 1, number, number + 1, PRESENT, encode_operations(page)))
            await asyncio.sleep(0.15)
        gallery.end(PEER, "it is shared no more")
        return await recording
    finally:
        await gallery.close()


async def test_a_folder_gets_a_picture_for_each_change_named_by_its_time(tmp_path: Path) -> None:
    folder = tmp_path / "talk"
    told = await played(folder, flat(RED, 64, 48), flat(BLUE, 64, 48))
    assert told.startswith("2 pictures in 0.")
    assert told.endswith(f"are in {folder}; it is shared no more")
    first, second = sorted(folder.iterdir())
    assert first.name == "000000000.jpg"
    assert 100 < int(second.stem) < 5000
    with Image.open(second) as image:
        assert np.abs(np.array(image).astype(int) - (0x10, 0x20, 0xC0)).max() < 6
    with pytest.raises(MeshchatError, match="has files in it"):
        await played(folder)


@pytest.mark.parametrize("name", ["talk.mkv", "talk.mp4"])
async def test_a_film_has_the_pictures_at_their_times_until_the_end(tmp_path: Path, name: str) -> None:
    av = pytest.importorskip("av", reason="the extra film is not installed")
    await played(tmp_path / name, flat(RED, 65, 49), flat(BLUE, 65, 49), flat(RED, 32, 32))
    with av.open(str(tmp_path / name)) as film:
        frames = [(float(each.time), each.to_ndarray(format="rgb24")) for each in film.decode(video=0)]
    assert [frame.shape for _, frame in frames] == [(48, 64, 3)] * 4
    times = [at - frames[0][0] for at, _ in frames]
    assert 0.1 < times[1] < times[2] < times[3] < 15.0
    assert times[3] - times[2] > 0.1, "it lasts until watching ended"
    assert np.abs(frames[0][1][24, 32].astype(int) - (0xC0, 0x20, 0x10)).max() < 16
    assert np.abs(frames[1][1][24, 32].astype(int) - (0x10, 0x20, 0xC0)).max() < 16
    assert frames[2][1][40, 50].max() < 16, "what a smaller screen does not fill is black"


async def test_what_cannot_be_written_is_said_before_anything_is_watched(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="without a suffix"):
        await record("ws://127.0.0.1:9/", tmp_path / "talk.gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(MeshchatError, match="cannot write into"):
        await record("ws://127.0.0.1:9/", tmp_path / "file")
