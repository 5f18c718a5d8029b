"""Decision trees as tables: nodes of all kinds become comparisons with a threshold, walked in equal steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# names of TreeEnsembleRegressor and its kin, in the order of TreeEnsemble's numbers
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")


@dataclass(frozen=True)
class Split:
    """A node as the model has it: where to go on if x[feature] compares with a value, or is a member."""

    mode: str
    feature: int
    value: float
    yes: int
    no: int
    nan_is_yes: bool
    members: tuple[float, ...] = ()


@dataclass(frozen=True)
class Node:
    """One step leads to `left` where x[feature] is at most the threshold, else to `right`.

    Where `strict` it must be less; a NaN goes left where `nan_left`. A leaf, which is not `inner`, leads to
    itself, so that all trees are walked in as many steps as the deepest has.
    """

    feature: int
    threshold: float
    left: int
    right: int
    strict: bool = False
    nan_left: bool = False
    inner: bool = True


@dataclass
class Forest:
    """The nodes of all trees, called by their positions."""

    nodes: list[Node] = field(default_factory=list)

    def rows(self, roots: Sequence[int]) -> tuple[list[int], list[int]]:
        """Nodes in an order in which one number leads to both children of each; the roots come first.

        Returns:
            The node in each row, each as often as something leads to it; and for each row the one with its
            right child, behind which is the left one.
        """
        rows, below = [*roots], dict[int, int]()
        for at in rows:  # which grows meanwhile
            if at not in below:
                below[at] = len(rows)
                rows += (self.nodes[at].right, self.nodes[at].left)
        return rows, [below[at] for at in rows]

    def kinds(self, name: str) -> set[bool]:
        """The values that a field has in inner nodes."""
        return {getattr(node, name) for node in self.nodes if node.inner}

    def leaf(self) -> int:
        """A new node that leads to itself."""
        itself = len(self.nodes)
        return self._add(Node(0, 0.0, itself, itself, inner=False))

    def depth(self, roots: Sequence[int]) -> int:
        """The most steps from a root to a leaf. Raises ValueError where a way never ends."""
        reached, steps = {r for r in roots if self.nodes[r].inner}, 0
        while reached:
            steps += 1
            if steps > len(self.nodes):
                raise ValueError("its nodes lead in a circle")
            children = {c for i in reached for c in (self.nodes[i].left, self.nodes[i].right)}
            reached = {c for c in children if self.nodes[c].inner}
        return steps

    def _add(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def reserve(self, count: int) -> None:
        """Nodes 0 .. count - 1, which `place` fills in; until then they are leaves."""
        for _ in range(count):
            self.leaf()

    def place(self, at: int, split: Split) -> None:
        """Let node `at` be a split; nodes that it takes beside are added."""
        yes, no, x, t = split.yes, split.no, split.feature, split.value
        match split.mode:
            case "BRANCH_LEQ" | "BRANCH_LT":
                self.nodes[at] = Node(x, t, yes, no, split.mode == "BRANCH_LT", split.nan_is_yes)
            case "BRANCH_GT" | "BRANCH_GTE":
                self.nodes[at] = Node(x, t, no, yes, split.mode == "BRANCH_GTE", not split.nan_is_yes)
            case "BRANCH_EQ":
                self._copy(at, self._member(x, (t,), yes, no, nan_is_yes=split.nan_is_yes))
            case "BRANCH_NEQ":  # of everything, and so of a NaN
                self._copy(at, self._member(x, (t,), no, yes, nan_is_yes=False))
            case "BRANCH_MEMBER":
                self._copy(at, self._member(x, split.members, yes, no, nan_is_yes=split.nan_is_yes))
            case mode:
                raise ValueError(f"mode {mode}")

    def _member(self, x: int, members: Sequence[float], yes: int, no: int, *, nan_is_yes: bool) -> int:
        """A search tree over sorted members; a NaN goes right at each node, and so to `no`."""
        if nan_is_yes:
            rest = self._member(x, members, yes, no, nan_is_yes=False)
            return self._add(Node(x, np.inf, rest, yes))
        if not members:
            return no
        ordered = sorted(set(members))
        if len(ordered) == 1:
            below = self._add(Node(x, ordered[0], no, yes, strict=True))
            return self._add(Node(x, ordered[0], below, no))
        half = len(ordered) // 2
        low = self._member(x, ordered[:half], yes, no, nan_is_yes=False)
        high = self._member(x, ordered[half:], yes, no, nan_is_yes=False)
        return self._add(Node(x, ordered[half - 1], low, high))

    def _copy(self, at: int, made: int) -> None:
        """Let node `at` be as another one is."""
        self.nodes[at] = self.nodes[made]


@dataclass(frozen=True)
class Ensemble:
    """A forest with its roots, and what each leaf adds to each target: [nodes, targets]."""

    forest: Forest
    roots: list[int]
    weights: Array

    @property
    def depth(self) -> int:
        """Steps from the roots to all leaves."""
        return self.forest.depth(self.roots)


def by_ids(attrs: Mapping[str, Any], votes: str, targets: int, empty: float) -> Ensemble:
    """Trees as TreeEnsembleRegressor and TreeEnsembleClassifier have them, whose nodes are called by two ids.

    Args:
        attrs: the node's attributes.
        votes: "target" or "class": how the attributes of leaves begin.
        targets: how many there are.
        empty: what a leaf without a vote for a target counts.

    Raises:
        ValueError, KeyError: attributes that do not fit each other.
    """
    trees, nodes = attrs["nodes_treeids"], attrs["nodes_nodeids"]
    where = {key: index for index, key in enumerate(zip(trees, nodes, strict=True))}
    values = attrs.get("nodes_values_as_tensor")
    values = attrs["nodes_values"] if values is None else values
    missing = attrs.get("nodes_missing_value_tracks_true") or [0] * len(nodes)
    forest = Forest()
    forest.reserve(len(nodes))
    columns = (attrs["nodes_modes"], attrs["nodes_featureids"], values)
    children = (attrs["nodes_truenodeids"], attrs["nodes_falsenodeids"], missing)
    for index, (tree, mode, x, t, yes, no, nan) in enumerate(zip(trees, *columns, *children, strict=True)):
        if mode != "LEAF":
            split = Split(mode, int(x), float(t), where[tree, yes], where[tree, no], bool(nan))
            forest.place(index, split)
    roots = list({tree: index for index, tree in reversed(list(enumerate(trees)))}.values())
    given = attrs.get(f"{votes}_weights_as_tensor")
    given = attrs[f"{votes}_weights"] if given is None else given
    weights = np.full((len(forest.nodes), targets), empty)
    keys = zip(
        attrs[f"{votes}_treeids"], attrs[f"{votes}_nodeids"], attrs[f"{votes}_ids"], given, strict=True
    )
    for tree, node, target, weight in keys:
        at = (where[tree, node], target)
        weights[at] = weight if weights[at] == empty else weights[at] + weight
    return Ensemble(forest, roots, weights)


def by_position(attrs: Mapping[str, Any], targets: int, empty: float) -> Ensemble:
    """Trees as TreeEnsemble has them, whose inner nodes and leaves are called by their positions.

    Raises:
        ValueError: attributes that do not fit each other.
    """
    modes, count = attrs["nodes_modes"], len(attrs["nodes_modes"])
    leaves = len(attrs["leaf_targetids"])
    forest = Forest()
    forest.reserve(count + leaves)
    missing = attrs.get("nodes_missing_value_tracks_true") or [0] * count
    sets = _sets(attrs.get("membership_values"))
    if any(not 0 <= r < count for r in attrs["tree_roots"]):
        raise ValueError(f"roots {attrs['tree_roots']}")

    def child(branch: str, node: int) -> int:
        index, is_leaf = attrs[f"nodes_{branch}nodeids"][node], attrs[f"nodes_{branch}leafs"][node]
        if not 0 <= index < (leaves if is_leaf else count):
            raise ValueError(f"node {node} leads to {index}")
        return int(count + index if is_leaf else index)

    for node in range(count):
        mode = MODES[int(modes[node])]
        members = next(sets) if mode == "BRANCH_MEMBER" else ()
        value, feature = float(attrs["nodes_splits"][node]), int(attrs["nodes_featureids"][node])
        split = Split(
            mode, feature, value, child("true", node), child("false", node), bool(missing[node]), members
        )
        forest.place(node, split)
    weights = np.full((len(forest.nodes), targets), empty)
    for leaf, (target, weight) in enumerate(zip(attrs["leaf_targetids"], attrs["leaf_weights"], strict=True)):
        weights[count + leaf, target] = weight
    return Ensemble(forest, list(attrs["tree_roots"]), weights)


def _sets(values: Array | None) -> Any:
    """The sets of a list in which a NaN ends each."""
    members: list[float] = []
    for value in () if values is None else values.ravel():
        if np.isnan(value):
            yield tuple(members)
            members = []
        else:
            members.append(float(value))
