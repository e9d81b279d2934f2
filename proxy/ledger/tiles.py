"""Tiles of the Merkle tree as files: C2SP tlog-tiles (paths, widths, which a tree has)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from proxy.errors import ProofError
from proxy.ledger.merkle import HASH_BYTES, NodeReader, root_at, root_of

__all__ = [
    "TILE_WIDTH",
    "Tile",
    "read_tile",
    "tile_bytes",
    "tile_hashes",
    "tile_path",
    "tile_reader",
    "tiles_for",
    "tiles_serving",
    "verify_tiles",
]

TILE_WIDTH = 256


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """Hashes `index·256 … index·256 + width - 1` of one tile level; narrower than 256: partial."""

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """Where the tile stands below the log's directory, such as `tile/0/x001/234.p/5`."""
        return tile_path(self.level, self.index, self.width)


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """The path of a tile below the log's directory (C2SP tlog-tiles, "Merkle Tree")."""
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03d}")
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"


def tile_bytes(hashes: Sequence[bytes]) -> bytes:
    """The content of a tile with these hashes."""
    return b"".join(hashes)


def tile_hashes(data: bytes, width: int) -> tuple[bytes, ...]:
    """The hashes a tile holds.

    Raises:
        ProofError: the content is not `width` hashes long.
    """
    if len(data) != width * HASH_BYTES:
        raise ProofError(
            f"a tile of {width} hashes has {width * HASH_BYTES} bytes, not {len(data)}",
            help="get the file again: it is cut short or damaged",
        )
    return tuple(data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES))


def read_tile(tile: Tile, read: NodeReader) -> bytes:
    """The content of a tile, from a reader over the tree."""
    return tile_bytes(read(tile.level, tile.index * TILE_WIDTH, tile.width))


def tiles_for(size: int) -> Iterator[Tile]:
    """Every tile of a tree of `size` leaves: level by level, each level's partial tile last."""
    level = 0
    while size:
        yield from (Tile(level, index) for index in range(size // TILE_WIDTH))
        if rest := size % TILE_WIDTH:
            yield Tile(level, size // TILE_WIDTH, rest)
        level, size = level + 1, size // TILE_WIDTH


def tiles_serving(size: int, leaves: Iterable[int], older: Iterable[int] = ()) -> list[Tile]:
    """The tiles that prove these leaves against the root, and each size in `older` consistent.

    Of level 0: those the leaves lie in, the last one, and those an older size ends in. Of the
    levels above, which are a 256th: all.
    """
    wanted = {leaf // TILE_WIDTH for leaf in leaves}
    wanted |= {old // TILE_WIDTH for old in older if old % TILE_WIDTH}
    wanted |= {size // TILE_WIDTH}
    return [tile for tile in tiles_for(size) if tile.level or tile.index in wanted]


def tile_reader(tiles: Mapping[tuple[int, int], Sequence[bytes]]) -> NodeReader:
    """A reader over tiles at hand, by `(level, index)`.

    The reader raises `ProofError` where a hash is asked for that no tile holds.
    """

    def read(level: int, start: int, count: int) -> Sequence[bytes]:
        index, offset = divmod(start, TILE_WIDTH)
        hashes = tiles.get((level, index), ())[offset : offset + count]
        if len(hashes) != count:
            raise ProofError(
                f"tile `{tile_path(level, index)}` is not at hand",
                help="ask for a bundle that holds it",
                where=f"log/{tile_path(level, index)}",
                code="tile-absent",
            )
        return hashes

    return read


def verify_tiles(tiles: Mapping[tuple[int, int], Sequence[bytes]], size: int, root: bytes) -> None:
    """Check that these tiles are tiles of the tree of `size` leaves with this root.

    The root rests on the last tile of each level; each full tile is one hash of its parent.

    Raises:
        ProofError: one is not, or one between a tile and the root is absent.
    """
    read = tile_reader(tiles)
    if root_at(size, read) != root:
        raise ProofError(
            "the tiles do not hash to the root of the checkpoint",
            help="get the bundle again, and ask who changed it",
            where="log/tile",
        )
    for (level, index), hashes in tiles.items():
        if len(hashes) == TILE_WIDTH and (root_of(hashes),) != tuple(read(level + 1, index, 1)):
            raise ProofError(
                "the tile is not what the tile above it says",
                help="get the bundle again, and ask who changed it",
                where=f"log/{tile_path(level, index)}",
            )
