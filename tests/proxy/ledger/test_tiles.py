"""Tiles: C2SP paths and widths, and no tile but the tree's passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProofError
from proxy.ledger.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    leaf_reader,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from proxy.ledger.tiles import (
    Tile,
    read_tile,
    tile_bytes,
    tile_hashes,
    tile_path,
    tile_reader,
    tiles_for,
    tiles_serving,
    verify_tiles,
)

LEAVES = [leaf_hash(str(number).encode()) for number in range(65_800)]
SIZES = [1, 255, 256, 257, 512, 700, 1025]
ROOTS = {size: root_of(LEAVES[:size]) for size in SIZES}


def load(size: int, tiles: list[Tile]) -> dict[tuple[int, int], tuple[bytes, ...]]:
    """The content of these tiles of the test tree, as a bundle would hold it."""
    read = leaf_reader(LEAVES[:size])
    return {
        (tile.level, tile.index): tile_hashes(read_tile(tile, read), tile.width) for tile in tiles
    }


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 999), "tile/0/999"),
        (Tile(0, 1000), "tile/0/x001/000"),
        (Tile(0, 1234, 5), "tile/0/x001/234.p/5"),
        (Tile(3, 1234067), "tile/3/x001/x234/067"),
        (Tile(1, 0, 255), "tile/1/000.p/255"),
    ],
)
def test_paths_are_those_of_c2sp(tile: Tile, path: str) -> None:
    """A tile's path groups its index by three digits and names a partial tile's width."""
    assert tile.path == path == tile_path(tile.level, tile.index, tile.width)


def test_a_tree_of_70000_leaves_has_the_tiles_of_the_standard() -> None:
    """The partial tiles of the example in C2SP tlog-tiles stand at the end of each level."""
    tiles = list(tiles_for(70_000))
    partial = [tile.path for tile in tiles if tile.width < 256]
    assert partial == ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]
    assert sum(tile.level == 0 for tile in tiles) == 274


@pytest.mark.parametrize("size", [*SIZES, 65_800])
def test_all_tiles_verify(size: int) -> None:
    """The tiles of a tree hash to its root."""
    verify_tiles(load(size, list(tiles_for(size))), size, root_of(LEAVES[:size]))


def test_an_empty_tree_has_no_tiles() -> None:
    """Size 0 has no tile and the empty root."""
    assert list(tiles_for(0)) == []
    verify_tiles({}, 0, EMPTY_ROOT)


@given(data=st.data(), size=st.sampled_from(SIZES))
def test_served_tiles_prove_leaves_and_older_sizes(data: st.DataObject, size: int) -> None:
    """The chosen tiles prove each leaf asked for and consistency with each older size."""
    leaf = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(0, size))
    tiles = load(size, tiles_serving(size, [leaf], [old]))
    root = ROOTS[size]
    verify_tiles(tiles, size, root)
    read = tile_reader(tiles)
    verify_inclusion(LEAVES[leaf], leaf, size, inclusion_proof(leaf, size, read), root)
    proof = consistency_proof(old, size, read)
    verify_consistency(old, root_of(LEAVES[:old]), size, root, proof)


def test_only_touched_tiles_are_served() -> None:
    """Of level 0 only the tiles of the leaves asked for and the last one are chosen."""
    paths = [tile.path for tile in tiles_serving(1025, [300])]
    assert paths == ["tile/0/001", "tile/0/004.p/1", "tile/1/000.p/4"]


@given(data=st.data(), size=st.sampled_from([257, 700, 1025]))
def test_a_flipped_bit_is_noticed(data: st.DataObject, size: int) -> None:
    """A bit turned in any tile is noticed, and `where` names a file of the log."""
    tiles = load(size, tiles_serving(size, [0]))
    place = data.draw(st.sampled_from(sorted(tiles)))
    number = data.draw(st.integers(0, len(tiles[place]) - 1))
    hashes = list(tiles[place])
    hashes[number] = (
        bytes([hashes[number][0] ^ 1 << data.draw(st.integers(0, 7))]) + (hashes[number][1:])
    )
    tiles[place] = tuple(hashes)
    with pytest.raises(ProofError) as caught:
        verify_tiles(tiles, size, root_of(LEAVES[:size]))
    assert caught.value.where.startswith("log/tile")


def test_an_absent_tile_is_named() -> None:
    """Where a tile between a leaf and the root is absent, the message names it."""
    tiles = load(1025, list(tiles_for(1025)))
    del tiles[1, 0]
    with pytest.raises(ProofError, match="tile/1/000` is not at hand") as caught:
        verify_tiles(tiles, 1025, root_of(LEAVES[:1025]))
    assert caught.value.code == "tile-absent"


def test_a_tile_of_another_length_is_refused() -> None:
    """A tile's file must hold exactly the hashes its name promises."""
    data = tile_bytes(LEAVES[:3])
    assert tile_hashes(data, 3) == tuple(LEAVES[:3])
    with pytest.raises(ProofError, match="128 bytes, not 96"):
        tile_hashes(data, 4)
