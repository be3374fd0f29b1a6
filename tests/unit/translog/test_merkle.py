"""The tree against RFC 6962's published roots, against the shared vectors and against pymerkle."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from portal.translog import merkle
from portal.translog.merkle import CompactRange, ProofRefused

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "tlog_vectors.json").read_text("utf-8"))
RFC_LEAVES = [
    bytes.fromhex(leaf)
    for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
RFC_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def hashes(count: int) -> list[bytes]:
    return [merkle.leaf_hash(f"leaf {number}".encode()) for number in range(count)]


def b64(texts: list[str]) -> list[bytes]:
    return [base64.b64decode(text) for text in texts]


def test_the_published_roots() -> None:
    leaves = [merkle.leaf_hash(leaf) for leaf in RFC_LEAVES]
    assert [merkle.root(leaves[:size]).hex() for size in range(1, 9)] == RFC_ROOTS
    assert merkle.root([]) == merkle.EMPTY_ROOT


def test_the_shared_vectors() -> None:
    leaves = [merkle.leaf_hash(leaf) for leaf in b64(VECTORS["leaves"])]
    old, new = merkle.root(leaves[:40]), merkle.root(leaves)
    index, proof, consistency = VECTORS["idx"], b64(VECTORS["proof"]), b64(VECTORS["cons"])
    assert base64.b64decode(VECTORS["leaf"]) == base64.b64decode(VECTORS["leaves"][index])
    assert merkle.inclusion_proof(leaves, index) == proof
    assert merkle.consistency_proof(leaves, 40) == consistency
    merkle.verify_inclusion(proof, leaf=leaves[index], index=index, size=70, root=new)
    merkle.verify_consistency(consistency, old_size=40, old_root=old, new_size=70, new_root=new)
    fork = base64.b64decode(VECTORS["fork"].split("\n")[2])
    with pytest.raises(ProofRefused):
        merkle.verify_consistency(b64(VECTORS["fork_cons"]), old_size=70, old_root=new, new_size=80, new_root=fork)


def test_the_same_root_as_pymerkle() -> None:
    other = InmemoryTree(algorithm="sha256")
    tree = CompactRange()
    for number in range(300):
        other.append_entry(f"leaf {number}".encode())
        tree.append(merkle.leaf_hash(f"leaf {number}".encode()))
        assert tree.root() == other.get_root(number + 1)


def test_every_proof_up_to_40_leaves_and_each_of_its_ways_to_be_wrong() -> None:
    leaves = hashes(40)
    for size in range(1, 41):
        root = merkle.root(leaves[:size])
        for index in range(size):
            proof = merkle.inclusion_proof(leaves[:size], index)
            merkle.verify_inclusion(proof, leaf=leaves[index], index=index, size=size, root=root)
            for wrong in ([*proof, leaves[0]], proof[:-1] if proof else [leaves[0]], [b"short", *proof[1:]]):
                with pytest.raises(ProofRefused):
                    merkle.verify_inclusion(wrong, leaf=leaves[index], index=index, size=size, root=root)
            with pytest.raises(ProofRefused):
                merkle.verify_inclusion(proof, leaf=leaves[index], index=size, size=size, root=root)
            with pytest.raises(ProofRefused):
                merkle.verify_inclusion(proof, leaf=leaves[index - 1], index=index, size=size, root=root[::-1])
        for old_size in range(1, size + 1):
            old_root, proof = merkle.root(leaves[:old_size]), merkle.consistency_proof(leaves[:size], old_size)
            merkle.verify_consistency(proof, old_size=old_size, old_root=old_root, new_size=size, new_root=root)
            for wrong in ([*proof, leaves[0]], proof[:-1] if proof else [leaves[0]]):
                with pytest.raises(ProofRefused):
                    merkle.verify_consistency(wrong, old_size=old_size, old_root=old_root, new_size=size, new_root=root)
            with pytest.raises(ProofRefused):
                merkle.verify_consistency(
                    proof, old_size=old_size, old_root=old_root[::-1], new_size=size, new_root=root
                )
            with pytest.raises(ProofRefused):
                merkle.verify_consistency(
                    proof, old_size=old_size, old_root=old_root, new_size=size, new_root=root[::-1]
                )


def test_proofs_for_sizes_that_do_not_exist_are_not_made() -> None:
    with pytest.raises(ValueError):
        merkle.inclusion_proof(hashes(3), 3)
    with pytest.raises(ValueError):
        merkle.consistency_proof(hashes(3), 4)
    with pytest.raises(ProofRefused):
        merkle.verify_consistency([], old_size=4, old_root=b"", new_size=3, new_root=b"")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=80), st.data())
def test_going_on_from_a_stored_frontier_is_like_never_having_stopped(leaves: list[bytes], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(leaves)))
    first = CompactRange()
    for leaf in leaves[:cut]:
        first.append(merkle.leaf_hash(leaf))
    second = CompactRange(first.size, first.frontier)
    for leaf in leaves[cut:]:
        second.append(merkle.leaf_hash(leaf))
    assert second.root() == merkle.root(merkle.leaf_hash(leaf) for leaf in leaves)
    assert second.size == len(leaves)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 120), st.data())
def test_one_changed_bit_of_a_proof_is_refused(size: int, data: st.DataObject) -> None:
    leaves = hashes(size)
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(leaves, index)
    if not proof:
        return
    place, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
    changed = bytearray(proof[place])
    changed[bit // 8] ^= 1 << bit % 8
    proof[place] = bytes(changed)
    with pytest.raises(ProofRefused):
        merkle.verify_inclusion(proof, leaf=leaves[index], index=index, size=size, root=merkle.root(leaves))


@pytest.mark.parametrize(("size", "frontier"), [(3, [bytes(32)]), (0, [bytes(32)]), (1, [b"short"]), (-1, [])])
def test_a_frontier_that_fits_no_tree_is_refused(size: int, frontier: list[bytes]) -> None:
    with pytest.raises(ValueError):
        CompactRange(size, frontier)
