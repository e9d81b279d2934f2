"""The Merkle tree: published vectors, and every proof for every m ≤ n."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProofError
from proxy.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    leaf_reader,
    node_hash,
    peaks_of,
    root_at,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The eight leaves and the roots of their trees that the Certificate Transparency implementations
# share as test vectors (certificate-transparency-go and transparency-dev/merkle, `testonly`).
CT_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SIZE = 40
LEAVES = [leaf_hash(str(number).encode()) for number in range(SIZE)]
READ = leaf_reader(LEAVES)


def naive_root(hashes: list[bytes]) -> bytes:
    """The definition of RFC 9162 §2.1.1, word by word."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(naive_root(hashes[:split]), naive_root(hashes[split:]))


def flip(data: bytes, bit: int) -> bytes:
    """The bytes with one bit turned."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_published_ones(size: int) -> None:
    """The roots of the eight standard leaves are those every CT implementation has."""
    hashes = [leaf_hash(data) for data in CT_LEAVES[:size]]
    assert root_of(hashes).hex() == CT_ROOTS[size]
    assert Frontier().extend(hashes).root().hex() == CT_ROOTS[size]
    assert root_at(size, leaf_reader(hashes)).hex() == CT_ROOTS[size]


@pytest.mark.parametrize(
    ("index", "size", "path"),
    [
        (
            0,
            8,
            [
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            [
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    ],
)
def test_paths_are_the_published_ones(index: int, size: int, path: list[str]) -> None:
    """Audit paths over the standard leaves are those every CT implementation has."""
    hashes = [leaf_hash(data) for data in CT_LEAVES[:size]]
    assert [node.hex() for node in inclusion_proof(index, size, leaf_reader(hashes))] == path


@pytest.mark.parametrize("size", [*range(SIZE + 1), 255, 256, 257, 511, 513])
def test_roots_follow_the_definition(size: int) -> None:
    """The quick root, the frontier's and the reader's equal the RFC's recursive definition."""
    hashes = [leaf_hash(str(number).encode()) for number in range(size)]
    expected = naive_root(hashes)
    assert root_of(hashes) == expected
    assert Frontier().extend(hashes).root() == expected
    assert root_at(size, leaf_reader(hashes)) == expected


def test_every_inclusion_proof_verifies() -> None:
    """For every leaf of every tree up to 40 leaves the audit path leads to the root."""
    for size in range(1, SIZE + 1):
        root = root_of(LEAVES[:size])
        for index in range(size):
            proof = inclusion_proof(index, size, READ)
            verify_inclusion(LEAVES[index], index, size, proof, root)


def test_every_consistency_proof_verifies() -> None:
    """For every m ≤ n up to 40 leaves the proof shows that the tree of n extends that of m."""
    for new in range(SIZE + 1):
        for old in range(new + 1):
            proof = consistency_proof(old, new, READ)
            verify_consistency(old, root_of(LEAVES[:old]), new, root_of(LEAVES[:new]), proof)


@given(data=st.data(), size=st.integers(1, SIZE))
def test_a_flipped_bit_breaks_an_inclusion_proof(data: st.DataObject, size: int) -> None:
    """A bit turned anywhere in leaf, path or root, or another index, is noticed."""
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, READ)
    parts = [LEAVES[index], *proof, root_of(LEAVES[:size])]
    part = data.draw(st.integers(0, len(parts) - 1))
    parts[part] = flip(parts[part], data.draw(st.integers(0, 255)))
    with pytest.raises(ProofError, match="inclusion proof"):
        verify_inclusion(parts[0], index, size, parts[1:-1], parts[-1])


@given(data=st.data(), new=st.integers(1, SIZE))
def test_a_flipped_bit_breaks_a_consistency_proof(data: st.DataObject, new: int) -> None:
    """A bit turned anywhere in the proof or in either root is noticed."""
    old = data.draw(st.integers(1, new))
    proof = consistency_proof(old, new, READ)
    parts = [root_of(LEAVES[:old]), *proof, root_of(LEAVES[:new])]
    part = data.draw(st.integers(0, len(parts) - 1))
    parts[part] = flip(parts[part], data.draw(st.integers(0, 255)))
    with pytest.raises(ProofError, match="consistency proof"):
        verify_consistency(old, parts[0], new, parts[-1], parts[1:-1])


@given(data=st.data(), size=st.integers(2, SIZE))
def test_a_proof_of_another_length_is_refused(data: st.DataObject, size: int) -> None:
    """A path that is one hash longer or shorter does not verify."""
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, READ)
    root = root_of(LEAVES[:size])
    for other in (proof[:-1], (*proof, proof[0])):
        with pytest.raises(ProofError):
            verify_inclusion(LEAVES[index], index, size, other, root)


def test_an_inner_node_is_no_leaf() -> None:
    """A hash that leads to the root from higher up is not taken for a leaf."""
    inner, beside = root_of(LEAVES[:2]), root_of(LEAVES[2:4])
    root = node_hash(inner, beside)
    verify_inclusion(inner, 0, 2, [beside], root)
    with pytest.raises(ProofError, match="inclusion proof"):
        verify_inclusion(inner, 0, 4, [beside], root)


@given(data=st.data(), new=st.integers(2, SIZE))
def test_a_consistency_proof_of_another_length_is_refused(data: st.DataObject, new: int) -> None:
    """A consistency proof that is one hash longer or shorter does not verify."""
    old = data.draw(st.integers(1, new - 1))
    proof = consistency_proof(old, new, READ)
    roots = root_of(LEAVES[:old]), root_of(LEAVES[:new])
    for other in (proof[:-1], (*proof, proof[0])):
        with pytest.raises(ProofError):
            verify_consistency(old, roots[0], new, roots[1], other)


def test_nothing_is_to_show_for_an_empty_or_equal_tree() -> None:
    """From size 0, and from a size to itself, the proof is empty and any hash in it is refused."""
    root = root_of(LEAVES)
    verify_consistency(0, EMPTY_ROOT, SIZE, root, ())
    verify_consistency(SIZE, root, SIZE, root, ())
    for old, old_root, proof in ((0, root, ()), (SIZE, EMPTY_ROOT, ()), (SIZE, root, (root,))):
        with pytest.raises(ProofError):
            verify_consistency(old, old_root, SIZE, root, proof)


def test_between_other_sizes_an_empty_proof_shows_nothing() -> None:
    """Without hashes no tree is shown to extend a smaller one."""
    for old in (3, 4):
        with pytest.raises(ProofError):
            verify_consistency(old, root_of(LEAVES[:old]), 8, root_of(LEAVES[:8]), ())


def test_sizes_that_cannot_be_are_refused() -> None:
    """Leaves beyond the tree and shrinking trees are refused, both when proving and checking."""
    with pytest.raises(ProofError, match="no leaf 3"):
        inclusion_proof(3, 3, READ)
    with pytest.raises(ProofError, match="cannot extend"):
        consistency_proof(4, 3, READ)
    with pytest.raises(ProofError, match="no leaf 3"):
        verify_inclusion(LEAVES[0], 3, 3, (), LEAVES[0])
    with pytest.raises(ProofError, match="cannot extend"):
        verify_consistency(4, LEAVES[0], 3, LEAVES[0], ())


@given(cuts=st.lists(st.integers(0, 600), max_size=6).map(sorted))
def test_batches_do_not_matter(cuts: list[int]) -> None:
    """However appends are batched, the frontier and the finished subtrees are the same."""
    hashes = [leaf_hash(str(number).encode()) for number in range(600)]
    whole = Frontier().grow(hashes)
    frontier, finished = Frontier(), list(whole.finished[:0])
    for low, high in zip([0, *cuts], [*cuts, 600], strict=True):
        growth = frontier.grow(hashes[low:high])
        frontier = growth.frontier
        finished += growth.finished
    assert frontier == whole.frontier
    assert tuple(finished) == whole.finished


def test_finished_subtrees_are_named() -> None:
    """Appending names each subtree of 256 and 65,536 leaves that it finished, and its root."""
    hashes = [leaf_hash(str(number).encode()) for number in range(65_536 + 256)]
    growth = Frontier().grow(hashes)
    read = leaf_reader(hashes)
    places = [(subtree.level, subtree.index) for subtree in growth.finished]
    assert places == [*((1, index) for index in range(256)), (2, 0), (1, 256)]
    for subtree in growth.finished:
        assert [subtree.hash] == list(read(subtree.level, subtree.index, 1))


@given(cuts=st.lists(st.integers(0, SIZE), max_size=5).map(sorted))
def test_a_tree_grows_by_parts(cuts: list[int]) -> None:
    """However leaf hashes are cut into parts, the subtrees of the parts make the same frontier."""
    frontier = Frontier()
    for start, end in zip([0, *cuts], [*cuts, SIZE], strict=True):
        frontier = frontier.add(peaks_of(start, LEAVES[start:end]))
    assert frontier == Frontier().extend(LEAVES)


@given(size=st.integers(0, SIZE))
def test_frontiers_round_trip(size: int) -> None:
    """A frontier's bytes hold that frontier."""
    frontier = Frontier().extend(LEAVES[:size])
    assert Frontier.from_bytes(frontier.to_bytes()) == frontier


@given(data=st.binary(max_size=80))
def test_any_bytes_are_a_frontier_or_refused(data: bytes) -> None:
    """Bytes are refused unless they are those of a frontier."""
    fits = len(data) >= 8 and len(data) == 8 + 32 * int.from_bytes(data[:8]).bit_count()
    if fits:
        assert Frontier.from_bytes(data).to_bytes() == data
    else:
        with pytest.raises(ProofError, match="does not fit its size"):
            Frontier.from_bytes(data)
