"""A forest's part of a graph as the one operator that ONNX has for it, which takes a tenth of the time of its steps."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import nn

_DOMAIN, _VERSION = "ai.onnx.ml", 5
"""The first in which a forest's numbers are tensors, so that they take no more room than before."""
_SUM, _GREATER = 1, 3


def with_tree_operator(graph: bytes, forest: nn.Module) -> bytes:
    """Put TreeEnsemble in the place of the steps of a forest (:class:`training.exotic.forest.Forest`).

    Parameters
    ----------
    graph
        As it was exported: its only GatherElements are the forest's steps, its only ReduceMean the mean over the trees
        and what fills them up.
    forest
        The forest.
    """
    model = onnx.load_from_string(graph)
    nodes = list(model.graph.node)
    inputs = {node.input[0] for node in nodes if node.op_type == "GatherElements"}
    (mean,) = (node for node in nodes if node.op_type == "ReduceMean")
    (given,) = inputs
    trees = helper.make_node("TreeEnsemble", [given], ["by_trees"], domain=_DOMAIN, **_attributes(forest))
    flat = helper.make_node("Reshape", ["by_trees", "one_axis"], list(mean.output))
    place = nodes.index(mean)
    used = _used([*nodes[:place], trees, flat, *nodes[place + 1 :]], {item.name for item in model.graph.output})
    del model.graph.node[:]
    model.graph.node.extend(used)
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1]), "one_axis"))
    needed = {name for node in used for name in node.input}
    kept = [item for item in model.graph.initializer if item.name in needed]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    model.opset_import.append(helper.make_opsetid(_DOMAIN, _VERSION))
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _used(nodes: list[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """Leave out the nodes that no output is made of."""
    needed, used = set(outputs), []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            used.append(node)
    return used[::-1]


def _attributes(forest: nn.Module) -> dict[str, object]:
    """Tell nodes from leaves, and number each by themselves; a tree that is one leaf goes there either way."""
    roots, column, child = (getattr(forest, name).numpy() for name in ("roots", "column", "child"))
    threshold, leaf, goes_second = (getattr(forest, name).numpy() for name in ("threshold", "leaf", "goes_second"))
    places = np.arange(len(column))
    is_leaf = child == places
    is_node = ~is_leaf
    is_node[roots] = True
    node_number, leaf_number = np.cumsum(is_node) - 1, np.cumsum(is_leaf) - 1
    chosen = places[is_node]
    below = {
        "false": np.where(is_leaf[chosen], chosen, child[chosen]),
        "true": np.where(is_leaf[chosen], chosen, child[chosen] + 1),
    }
    attributes: dict[str, object] = {
        "aggregate_function": _SUM,
        "n_targets": 1,
        "tree_roots": node_number[roots].tolist(),
        "nodes_featureids": column[chosen].tolist(),
        "nodes_splits": _tensor(np.where(is_leaf[chosen], 0, threshold[chosen]).astype(np.float32), "nodes_splits"),
        "nodes_modes": _tensor(np.full(len(chosen), _GREATER, dtype=np.uint8), "nodes_modes"),
        "leaf_targetids": [0] * int(is_leaf.sum()),
        "nodes_missing_value_tracks_true": goes_second[chosen].tolist(),
        "leaf_weights": _tensor((leaf[is_leaf] / forest.width).astype(np.float32), "leaf_weights"),
    }
    for way, to in below.items():
        attributes[f"nodes_{way}leafs"] = is_leaf[to].astype(int).tolist()
        attributes[f"nodes_{way}nodeids"] = np.where(is_leaf[to], leaf_number[to], node_number[to]).tolist()
    return attributes


def _tensor(values: NDArray, name: str) -> onnx.TensorProto:
    return numpy_helper.from_array(values, name)
