"""A forest of decision trees as tensors, so that it is exported like any other network, and small."""

from collections import deque

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.export.rows import gathered


class Forest(nn.Module):
    """The mean over trees of the share of positives in the leaf that an object falls into.

    Nodes of all trees lie in one list, each pair of siblings side by side: a step goes to the first child, or to the
    one after it where the node's number is above its threshold. A leaf is its own first child.

    Parameters
    ----------
    trees
        A fitted forest of scikit-learn for two classes.
    """

    def __init__(self, trees) -> None:
        super().__init__()
        parts = [_in_pairs(estimator.tree_) for estimator in trees.estimators_]
        starts = np.cumsum([0, *(len(part[0]) for part in parts[:-1])])
        column, threshold, child, share = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        child = child + np.repeat(starts, [len(part[0]) for part in parts])
        self.depth = max(estimator.tree_.max_depth for estimator in trees.estimators_)
        self.register_buffer("roots", torch.from_numpy(starts.astype(np.int64)))
        self.register_buffer("column", torch.from_numpy(column.astype(np.int64)))
        self.register_buffer("child", torch.from_numpy(child.astype(np.int64)))
        # Rounded as they are kept (:func:`training.export.graph.narrow`).
        self.register_buffer("threshold", torch.from_numpy(threshold.astype(np.float32)).half().float())
        self.register_buffer("leaf_share", torch.from_numpy(share.astype(np.float32)).half().float())

    def by_tree(self, inputs: Tensor) -> Tensor:
        """``(n, d)`` -> the share in each tree's leaf, ``(n, n_trees)``."""
        node = self.roots.expand(inputs.shape[0], -1)
        for _ in range(self.depth):
            value = inputs.gather(1, gathered(self.column, node))
            node = gathered(self.child, node) + (value > gathered(self.threshold, node)).to(torch.int64)
        return gathered(self.leaf_share, node)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(n, d)`` -> ``(n,)``."""
        return self.by_tree(inputs).mean(dim=1)


def _in_pairs(tree) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Lay a tree's nodes out from the root, siblings side by side: column, threshold, first child, share."""
    order, first_child = [0], {}
    waiting = deque([0])
    while waiting:
        node = waiting.popleft()
        if tree.children_left[node] != -1:
            first_child[node] = len(order)
            pair = [int(tree.children_left[node]), int(tree.children_right[node])]
            order += pair
            waiting += pair
    place = {node: number for number, node in enumerate(order)}
    is_leaf = tree.children_left[order] == -1
    counts = tree.value[order, 0]
    return (
        np.where(is_leaf, 0, tree.feature[order]),
        np.where(is_leaf, np.inf, tree.threshold[order]),
        np.array([first_child.get(node, place[node]) for node in order]),
        counts[:, -1] / counts.sum(axis=1),
    )
