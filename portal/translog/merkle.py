"""The Merkle tree of RFC 6962 section 2.1: hashes, roots, proofs, and a compact range to go on from.

All functions speak of leaf *hashes*; `leaf_hash` makes one from a leaf's bytes.
"""

import hashlib
from collections.abc import Iterable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


class ProofRefused(ValueError):
    """A proof, or what it is to prove, is not right. The message says which step failed, never any leaf."""


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of one leaf; the prefix keeps it apart from inner nodes."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class CompactRange:
    """The tree so far as the roots of its perfect subtrees, largest first: at most 64 hashes.

    Enough to append and to know the root, without any leaf at hand.
    """

    def __init__(self, size: int = 0, frontier: Iterable[bytes] = ()) -> None:
        self.size = size
        self.frontier = list(frontier)
        if size < 0 or len(self.frontier) != size.bit_count() or any(len(h) != HASH_BYTES for h in self.frontier):
            raise ValueError(f"{len(self.frontier)} hashes are not the compact range of a tree of {size} leaves")

    def append(self, leaf: bytes) -> None:
        """Add the next leaf hash."""
        size, node = self.size, leaf
        while size & 1:
            node = node_hash(self.frontier.pop(), node)
            size >>= 1
        self.frontier.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree so far."""
        if not self.frontier:
            return EMPTY_ROOT
        node = self.frontier[-1]
        for left in reversed(self.frontier[:-1]):
            node = node_hash(left, node)
        return node


def root(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes."""
    tree = CompactRange()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of leaf `index` in the tree over `leaves` (RFC 6962 section 2.1.1)."""
    if not 0 <= index < len(leaves):
        raise ValueError("no such leaf in the tree")
    if len(leaves) == 1:
        return []
    half = _half(len(leaves))
    if index < half:
        return [*inclusion_proof(leaves[:half], index), root(leaves[half:])]
    return [*inclusion_proof(leaves[half:], index - half), root(leaves[:half])]


def consistency_proof(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """The proof that the first `size` leaves are a prefix of `leaves` (RFC 6962 section 2.1.2)."""
    if not 0 < size <= len(leaves):
        raise ValueError("a consistency proof goes from a size above 0 to one not smaller")
    return _subproof(leaves, size, whole=True)


def verify_inclusion(proof: Sequence[bytes], *, leaf: bytes, index: int, size: int, root: bytes) -> None:
    """Check that leaf hash `leaf` stands at `index` of the tree of `size` leaves (RFC 9162 section 2.1.3.2).

    Raises ProofRefused.
    """
    if not 0 <= index < size:
        raise ProofRefused("the index lies outside of the tree")
    _check_hashes(proof)
    node, last, here = leaf, size - 1, index
    for sibling in proof:
        if last == 0:
            raise ProofRefused("the proof is too long")
        if here & 1 or here == last:
            node = node_hash(sibling, node)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        here, last = here >> 1, last >> 1
    if last:
        raise ProofRefused("the proof is too short")
    if node != root:
        raise ProofRefused("the proof leads to another root")


def verify_consistency(
    proof: Sequence[bytes], *, old_size: int, old_root: bytes, new_size: int, new_root: bytes
) -> None:
    """Check that the new tree only added leaves to the old one (RFC 9162 section 2.1.4.2). Raises ProofRefused."""
    if not 0 < old_size <= new_size:
        raise ProofRefused("the sizes do not grow")
    _check_hashes(proof)
    if old_size == new_size:
        if proof or old_root != new_root:
            raise ProofRefused("two roots for one size")
        return
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        # A perfect old tree is a node of the new one; the proof leaves it out because the verifier knows it.
        path.insert(0, old_root)
    if not path:
        raise ProofRefused("the proof is too short")
    here, last = old_size - 1, new_size - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofRefused("the proof is too long")
        if here & 1 or here == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        here, last = here >> 1, last >> 1
    if last:
        raise ProofRefused("the proof is too short")
    if old != old_root:
        raise ProofRefused("the proof leads to another old root")
    if new != new_root:
        raise ProofRefused("the proof leads to another new root")


def _subproof(leaves: Sequence[bytes], size: int, *, whole: bool) -> list[bytes]:
    if size == len(leaves):
        return [] if whole else [root(leaves)]
    half = _half(len(leaves))
    if size <= half:
        return [*_subproof(leaves[:half], size, whole=whole), root(leaves[half:])]
    return [*_subproof(leaves[half:], size - half, whole=False), root(leaves[:half])]


def _half(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


def _check_hashes(proof: Sequence[bytes]) -> None:
    if any(len(node) != HASH_BYTES for node in proof):
        raise ProofRefused("a node of the proof is not a SHA-256 hash")
