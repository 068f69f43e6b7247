"""A terminal for tests, as far as pictures go: keeps what half blocks, Kitty's protocol and Sixel put where."""

from __future__ import annotations

import base64
import re
import zlib

import numpy as np

from meshchat.tongue import Area
from meshchat.units import Pixels

TOKENS = re.compile(
    r"\x1b_G(?P<kitty>[^\x1b]*)\x1b\\|\x1bP(?P<sixel>[^\x1b]*)\x1b\\|\x1b\[(?P<csi>[\d;?]*)(?P<end>[A-Za-z])|\x1b[78]"
    r"|(?P<text>.)",
    re.DOTALL,
)


class Paper:
    """Pixels that a terminal shows; a cell of half blocks has one pixel above another."""

    def __init__(self, area: Area, cell: tuple[int, int]) -> None:
        self.cell = cell
        self.pixels: Pixels = np.zeros((area.rows * cell[1], area.columns * cell[0]), np.uint32)
        self.images: dict[str, bytes] = {}
        self._at = (0, 0)
        self._pen = (0, 0)
        self._chunks: list[str] = []
        self._head: dict[str, str] = {}

    def write(self, text: str) -> None:
        for token in TOKENS.finditer(text):
            if token["kitty"] is not None:
                self._kitty(token["kitty"])
            elif token["sixel"] is not None:
                self._sixel(token["sixel"])
            elif token["end"] == "H":
                row, column = map(int, token["csi"].split(";"))
                self._at = (row - 1, column - 1)
            elif token["end"] == "m" and token["csi"]:
                self._colours([int(each) for each in token["csi"].split(";")])
            elif token["text"]:
                assert token["text"] == "\u2580"
                row, column = self._at
                self.pixels[2 * row : 2 * row + 2, column] = self._pen
                self._at = (row, column + 1)

    def _colours(self, numbers: list[int]) -> None:
        assert [numbers[0], numbers[1], numbers[5], numbers[6]] == [38, 2, 48, 2]
        upper, lower = (int.from_bytes(bytes(numbers[at : at + 3]), "big") for at in (2, 7))
        self._pen = (upper, lower)

    def _kitty(self, message: str) -> None:
        keys, _, data = message.partition(";")
        told = dict(each.split("=") for each in keys.split(","))
        assert len(data) <= 4096
        if told.get("a") == "d":
            del self.images[told["i"]]
            return
        self._head = self._head or told
        self._chunks.append(data)
        if told["m"] == "0":
            head, self._head = self._head, {}
            packed, self._chunks = "".join(self._chunks), []
            self.images[head["i"]] = zlib.decompress(base64.b64decode(packed))
            colours = np.frombuffer(self.images[head["i"]], np.uint8).astype(np.uint32)
            red, green, blue = np.moveaxis(colours.reshape(int(head["v"]), int(head["s"]), 3), 2, 0)
            assert (int(head["c"]) * self.cell[0], int(head["r"]) * self.cell[1]) == (int(head["s"]), int(head["v"]))
            self._put(red << np.uint32(16) | green << np.uint32(8) | blue)

    def _put(self, part: Pixels) -> None:
        y, x = self._at[0] * self.cell[1], self._at[1] * self.cell[0]
        self.pixels[y : y + part.shape[0], x : x + part.shape[1]] = part

    def _sixel(self, data: str) -> None:
        size = re.match(r'7;1;0q"1;1;(\d+);(\d+)', data)
        assert size
        width, height = int(size[1]), int(size[2])
        part = np.zeros((height, width), np.uint32)
        palette: dict[int, int] = {}
        colour = x = top = 0
        for token in re.finditer(r"#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|!(\d+)(.)|([$-])|([?-~])", data[size.end() :]):
            if token[1]:
                red, green, blue = (round(int(token[each]) * 255 / 100) for each in (2, 3, 4))
                palette[int(token[1])] = red << 16 | green << 8 | blue
            elif token[5]:
                colour = palette[int(token[5])]
            elif token[8]:
                x, top = 0, top + 6 * (token[8] == "-")
            else:
                count, bits = int(token[6] or 1), ord(token[7] or token[9]) - 63
                for row in range(6):
                    if bits >> row & 1:
                        part[top + row, x : x + count] = colour
                x += count
        self._put(part)
