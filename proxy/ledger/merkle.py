"""The Merkle tree of RFC 9162 §2.1: frontier, roots and proofs.

A *complete subtree* `(level, index)` covers the leaves `index·2^level … (index+1)·2^level - 1`.
Readers hand out hashes by *tile level*, as C2SP tlog-tiles and the store keep them: level 0 is the
leaf hashes, level 1 the roots of every 256 leaves, level 2 of every 65,536, and so on.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import batched

from proxy.errors import ProofError

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "Frontier",
    "Growth",
    "NodeReader",
    "Subtree",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "leaf_reader",
    "node_hash",
    "peaks_of",
    "root_at",
    "root_of",
    "verify_consistency",
    "verify_inclusion",
]

type NodeReader = Callable[[int, int, int], Sequence[bytes]]
"""`read(tile_level, start, count)`: neighbouring hashes of one tile level.

The proofs ask for `count` = 1, 2, 4, … 128 hashes that lie in one tile; a whole tile asks for 256.
"""

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
_TILE_HEIGHT = 8
"""Levels of the tree in one tile (C2SP tlog-tiles)."""

_MAX_SIZE = 2**63 - 1


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf (RFC 9162 §2.1.1)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node (RFC 9162 §2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root of the tree over these leaf hashes (RFC 9162 §2.1.1).

    Pairing level by level and carrying an odd last node up gives the same tree as the RFC's split.
    """
    if not hashes:
        return EMPTY_ROOT
    level = list(hashes)
    while len(level) > 1:
        level = [node_hash(*pair) if len(pair) > 1 else pair[0] for pair in batched(level, 2)]
    return level[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subtree:
    """The root of a finished subtree of 256**level leaves."""

    level: int
    """The tile level: 1 for 256 leaves, 2 for 65,536, …"""
    index: int
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """All that appending needs to know of a tree: its size and the roots of its complete subtrees."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()
    """Largest subtree first: one for each bit that is set in `size`."""

    def extend(self, hashes: Sequence[bytes]) -> "Frontier":
        """The frontier after these leaf hashes were appended."""
        return self.grow(hashes).frontier

    def grow(self, hashes: Sequence[bytes]) -> "Growth":
        """The frontier after these leaf hashes were appended, and the subtrees they finished."""
        size, peaks, finished = self.size, list(self.peaks), list[Subtree]()
        for leaf in hashes:
            peak, level = leaf, 0
            while size >> level & 1:
                peak, level = node_hash(peaks.pop(), peak), level + 1
                if level % _TILE_HEIGHT == 0:
                    subtree = Subtree(level=level // _TILE_HEIGHT, index=size >> level, hash=peak)
                    finished.append(subtree)
            peaks.append(peak)
            size += 1
        frontier = Frontier(size=size, peaks=tuple(peaks))
        return Growth(frontier=frontier, finished=tuple(finished))

    def add(self, subtrees: Iterable[tuple[int, bytes]]) -> "Frontier":
        """The frontier after complete subtrees, each by its height and root, as `peaks_of` cuts them."""
        size, peaks = self.size, list(self.peaks)
        for height, root in subtrees:
            peak, level = root, height
            while size >> level & 1:
                peak, level = node_hash(peaks.pop(), peak), level + 1
            peaks.append(peak)
            size += 1 << height
        return Frontier(size=size, peaks=tuple(peaks))

    def root(self) -> bytes:
        """The root of the tree."""
        return _fold(self.peaks) if self.peaks else EMPTY_ROOT

    def to_bytes(self) -> bytes:
        """The size in eight big-endian bytes, then the peaks."""
        return self.size.to_bytes(8) + b"".join(self.peaks)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Frontier":
        """The frontier these bytes hold.

        Raises:
            ProofError: the number of peaks does not fit the size.
        """
        size, rest = int.from_bytes(data[:8]), data[8:]
        if len(data) < 8 or len(rest) != size.bit_count() * HASH_BYTES:
            raise ProofError(
                f"a frontier of {len(data)} bytes does not fit its size",
                help="restore the database: its `log` row is damaged",
            )
        return cls(size=size, peaks=tuple(bytes(peak) for peak in _cut(rest)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What appending changed: the new frontier, and the subtrees of 256**level leaves now finished."""

    frontier: Frontier
    finished: tuple[Subtree, ...]


def peaks_of(start: int, hashes: Sequence[bytes]) -> list[tuple[int, bytes]]:
    """The complete subtrees that leaf hashes from place `start` on are cut into: height and root."""
    found, at, end = list[tuple[int, bytes]](), 0, len(hashes)
    while at < end:
        place = start + at
        fits = (end - at).bit_length() - 1
        height = min(fits, (place & -place).bit_length() - 1) if place else fits
        found.append((height, root_of(hashes[at : at + (1 << height)])))
        at += 1 << height
    return found


def leaf_reader(hashes: Sequence[bytes]) -> NodeReader:
    """A reader over the leaf hashes of a whole tree, in order."""

    def read(level: int, start: int, count: int) -> list[bytes]:
        width = 1 << level * _TILE_HEIGHT
        places = range(start * width, (start + count) * width, width)
        return [root_of(hashes[at : at + width]) for at in places]

    return read


def root_at(size: int, read: NodeReader) -> bytes:
    """The root of the first `size` leaves."""
    return _range_root(0, size, read) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: NodeReader) -> tuple[bytes, ...]:
    """The audit path of leaf `index` in the tree of `size` leaves (RFC 9162 §2.1.3.1).

    Raises:
        ProofError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise ProofError(f"no leaf {index} in a tree of {size}", help="ask for a larger tree")
    path, low, high = list[bytes](), 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_range_root(middle, high, read))
            high = middle
        else:
            path.append(_range_root(low, middle, read))
            low = middle
    return tuple(reversed(path))


def consistency_proof(old: int, new: int, read: NodeReader) -> tuple[bytes, ...]:
    """The proof that the tree of `new` leaves extends that of `old` (RFC 9162 §2.1.4.1).

    Nothing needs to be shown where `old` is 0 or equals `new`.

    Raises:
        ProofError: `old` is larger than `new`.
    """
    if not 0 <= old <= new:
        raise ProofError(f"a tree of {new} cannot extend one of {old}", help="swap the two sizes")
    if old in (0, new):
        return ()
    path, low, high = list[bytes](), 0, new
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            path.append(_range_root(middle, high, read))
            high = middle
        else:
            path.append(_range_root(low, middle, read))
            low = middle
    if low:
        path.append(_range_root(low, high, read))
    return tuple(reversed(path))


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that `leaf`, a leaf hash, is number `index` of the tree (RFC 9162 §2.1.3.2).

    Raises:
        ProofError: it is not, or the proof is not of this shape.
    """
    if not 0 <= index < size <= _MAX_SIZE:
        raise ProofError(f"no leaf {index} in a tree of {size}", help="ask for a larger tree")
    node, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise _bad_proof("inclusion")
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    if last != 0 or found != root:
        raise _bad_proof("inclusion")


def verify_consistency(
    old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree `new_root` extends the tree `old_root` (RFC 9162 §2.1.4.2).

    Raises:
        ProofError: it does not, or the proof is not of this shape.
    """
    if not 0 <= old <= new <= _MAX_SIZE:
        raise ProofError(f"a tree of {new} cannot extend one of {old}", help="swap the two sizes")
    if old in (0, new):
        if proof or old_root != (EMPTY_ROOT if old == 0 else new_root):
            raise _bad_proof("consistency")
        return
    path = (old_root, *proof) if old & old - 1 == 0 else tuple(proof)
    if not path:
        raise _bad_proof("consistency")
    if _roots_on(path, old - 1, new - 1) != (old_root, new_root):
        raise _bad_proof("consistency")


def _roots_on(path: Sequence[bytes], node: int, last: int) -> tuple[bytes, bytes]:
    """Both roots that a consistency path leads to (RFC 9162 §2.1.4.2, steps 4 to 6)."""
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise _bad_proof("consistency")
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise _bad_proof("consistency")
    return old, new


def _bad_proof(kind: str) -> ProofError:
    return ProofError(
        f"the {kind} proof does not lead to the root", help="do not trust this copy of the log"
    )


def _split(count: int) -> int:
    """The largest power of two below `count` (RFC 9162 §2.1.1)."""
    return 1 << (count - 1).bit_length() - 1


def _range_root(low: int, high: int, read: NodeReader) -> bytes:
    """The hash over leaves `low … high - 1`, where `low` is a place the RFC's split can reach."""
    peaks = list[bytes]()
    while low < high:
        level = (high - low).bit_length() - 1
        peaks.append(_subtree_root(level, low >> level, read))
        low += 1 << level
    return _fold(peaks)


def _subtree_root(level: int, index: int, read: NodeReader) -> bytes:
    tile_level, rest = divmod(level, _TILE_HEIGHT)
    return root_of(read(tile_level, index << rest, 1 << rest))


def _fold(peaks: Sequence[bytes]) -> bytes:
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def _cut(data: bytes) -> list[bytes]:
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
