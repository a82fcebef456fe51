"""Gradient-boosted trees as tensors, so that they are exported like any other network, and small."""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.export.rows import ALIGNED, aligned, gathered

if TYPE_CHECKING:
    from xgboost import Booster


class Forest(nn.Module):
    """The mean over boosters of the sum of the leaves that an object falls into: log odds.

    Nodes of all trees lie in one list, each pair of siblings side by side: a step goes to the first child, or to the
    one after it where the node's number is above its threshold, or missing and the node sends it there. A leaf is its
    own first child.

    Parameters
    ----------
    boosters
        Fitted by XGBoost with `base_score` 0.5, each of as many trees.
    """

    def __init__(self, boosters: Sequence["Booster"]) -> None:
        super().__init__()
        trees = [tree for booster in boosters for tree in _trees_of(booster)]
        self.n_boosters = len(boosters)
        if len(trees) % self.n_boosters:
            raise ValueError(f"expected boosters of as many trees each, found {len(trees)} of {self.n_boosters}")
        parts = [_in_pairs(tree) for tree in trees]
        sizes = [len(part[0]) for part in parts]
        starts = np.cumsum([0, *sizes[:-1]])
        column, threshold, child, goes_second, leaf = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        self.depth = max(1, *(_depth(part[2]) for part in parts))
        self.register_buffer("roots", torch.from_numpy(starts.astype(np.int64)))
        self.register_buffer("column", torch.from_numpy(column.astype(np.int64)))
        self.register_buffer("child", torch.from_numpy((child + np.repeat(starts, sizes)).astype(np.int64)))
        self.register_buffer("threshold", torch.from_numpy(threshold.astype(np.float32)))
        self.register_buffer("goes_second", torch.from_numpy(goes_second.astype(np.int64)))
        # So that the mean over all trees and what fills them up (:func:`training.export.rows.aligned`) is the mean over
        # boosters of sums.
        self.width = len(trees) + -len(trees) % ALIGNED
        self.register_buffer("leaf", torch.from_numpy((leaf * self.width / self.n_boosters).astype(np.float32)))

    def by_tree(self, inputs: Tensor) -> Tensor:
        """``(n, d)``, NaN where missing -> what each tree says, ``(n, n_trees)``, times `width` over boosters."""
        node = self.roots.expand(inputs.shape[0], -1)
        for _ in range(self.depth):
            value = inputs.gather(1, gathered(self.column, node))
            is_second = (value > gathered(self.threshold, node)).to(torch.int64)
            is_second = torch.where(torch.isnan(value), gathered(self.goes_second, node), is_second)
            node = gathered(self.child, node) + is_second
        return gathered(self.leaf, node)

    def by_booster(self, inputs: Tensor) -> Tensor:
        """``(n, d)`` -> what each booster says, ``(n, n_boosters)``."""
        trees = self.by_tree(inputs)
        return trees.reshape(inputs.shape[0], self.n_boosters, -1).sum(dim=2) * (self.n_boosters / self.width)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(n, d)`` -> ``(n,)``."""
        return aligned(self.by_tree(inputs)).mean(dim=1)


def _trees_of(booster: "Booster") -> list[Mapping]:
    """Return a booster's trees as XGBoost writes them: JSON, of which the layout is public."""
    model = json.loads(bytes(booster.save_raw("json")))
    return model["learner"]["gradient_booster"]["model"]["trees"]


def _in_pairs(tree: Mapping) -> tuple[NDArray, NDArray, NDArray, NDArray, NDArray]:
    """Lay a tree's nodes out from the root, siblings side by side.

    Returns column, threshold, first child, whether a missing value goes to the second, and what a leaf says. In
    XGBoost's file a value below the condition goes left, and a leaf's condition is what it says.
    """
    left, right = tree["left_children"], tree["right_children"]
    order, first_child = [0], {}
    waiting = deque([0])
    while waiting:
        node = waiting.popleft()
        if left[node] != -1:
            first_child[node] = len(order)
            order += [left[node], right[node]]
            waiting += [left[node], right[node]]
    place = {node: number for number, node in enumerate(order)}
    is_leaf = np.array([left[node] == -1 for node in order])
    condition = np.array([tree["split_conditions"][node] for node in order], dtype=np.float32)
    below = np.nextafter(condition, np.float32(-np.inf))
    return (
        np.where(is_leaf, 0, [tree["split_indices"][node] for node in order]),
        np.where(is_leaf, np.float32(np.inf), below),
        np.array([first_child.get(node, place[node]) for node in order]),
        np.where(is_leaf, 0, [1 - int(tree["default_left"][node]) for node in order]),
        np.where(is_leaf, condition, np.float32(0)),
    )


def _depth(child: NDArray[np.int64]) -> int:
    """Return how many steps it takes from the root, the first node, to the last leaf."""
    depth = np.zeros(len(child), dtype=np.int64)
    for node, first in enumerate(child):
        if first != node:
            depth[first : first + 2] = depth[node] + 1
    return int(depth.max())
