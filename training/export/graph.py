"""From a fitted model to files that the annotator loads; what fails a gate is not written."""

import hashlib
import json
import logging
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from annotator.errors import ModelError
from annotator.models.files import session_of
from annotator.models.heads import HeadManifest
from annotator.models.manifest import Manifest
from annotator.models.rows import filled_up, parts

OPSET = 20
"""The first with Gelu as one operator."""

PARITY_RTOL, PARITY_ATOL = 1e-4, 1e-5
"""Between onnxruntime and torch, on real rows; the absolute part is for residuals near 0, in scaled units."""

LARGE_WEIGHTS = 10_000
"""Numbers in a tensor from which on its precision matters more for the file's size than for anything else."""

OUTPUT_NAMES = ("error", "residual", "latent")


def export_graph(
    model: nn.Module,
    examples: Mapping[str, NDArray[np.float32]],
    output_names: Sequence[str] = OUTPUT_NAMES,
    atol: float = PARITY_ATOL,
) -> bytes:
    """Export a model to ONNX and check it.

    Parameters
    ----------
    model
        In evaluation mode; gives its outputs as a tuple, or one by itself.
    examples
        By the inputs' names, ``(n, ...)`` float32 real inputs, n >= 2: the parity is measured on all of them.
    output_names
        In order.
    atol
        Of the parity, in the units of the outputs.

    Returns
    -------
    bytes
        The graph, without a trace of the machine it was made on.

    Raises
    ------
    ModelError
        If the graph is not valid ONNX, or does not give what the model gives.
    """
    model.eval()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports that torchvision is not installed
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns of its own internals
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            model,
            tuple(torch.from_numpy(values[:2].copy()) for values in examples.values()),
            path,
            input_names=list(examples),
            output_names=list(output_names),
            dynamic_shapes=tuple({0: torch.export.Dim("n")} for _ in examples),
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
        graph = _without_traces(onnx.load(path))
    try:
        onnx.checker.check_model(graph, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as failure:
        raise ModelError(f"expected valid ONNX from the export, found {failure}; nothing was written") from failure
    content = graph.SerializeToString(deterministic=True)
    check_parity(content, model, examples, output_names, atol)
    return content


def narrow(graph: bytes) -> bytes:
    """Keep large weights in half precision, and large tables of whole numbers in as few bytes as they need.

    They are widened when the graph is loaded. A model whose weights are already rounded to half precision gives the
    same numbers.
    """
    model = onnx.load_from_string(graph)
    for weights in list(model.graph.initializer):
        values = onnx.numpy_helper.to_array(weights)
        if values.size < LARGE_WEIGHTS or values.dtype not in (np.float32, np.int64):
            continue
        name = f"{weights.name}_narrow"
        kind = np.float16 if values.dtype == np.float32 else np.min_scalar_type(int(values.max()))
        if values.dtype == np.int64 and values.min() < 0:
            continue
        model.graph.initializer.remove(weights)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values.astype(kind), name))
        widen = onnx.helper.make_node("Cast", [name], [weights.name], to=weights.data_type)
        model.graph.node.insert(0, widen)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def check_parity(
    graph: bytes,
    model: nn.Module,
    examples: Mapping[str, NDArray[np.float32]],
    output_names: Sequence[str] = OUTPUT_NAMES,
    atol: float = PARITY_ATOL,
) -> None:
    """Compare a graph with the model it came from, in batches as the annotator runs it, and rows with themselves.

    Raises
    ------
    ModelError
        If any output of any row differs by more than :data:`PARITY_RTOL` and `atol`, or at all when its row is
        elsewhere in the batch.
    """
    session = session_of(graph)
    with torch.no_grad():
        given = model(*(torch.from_numpy(values) for values in examples.values()))
    expected = [output.numpy() for output in (given if isinstance(given, tuple) else (given,))]
    n = len(next(iter(examples.values())))

    def run(numbers: Sequence[int]) -> list[NDArray[np.float32]]:
        return session.run(list(output_names), {name: filled_up(values[numbers]) for name, values in examples.items()})

    batches = [list(numbers) for numbers in parts(range(n))]
    ran = [run(numbers) for numbers in batches]
    moved = [run(numbers[::-1]) for numbers in batches]
    for number, name in enumerate(output_names):
        found = np.concatenate([outputs[number][: len(rows)] for outputs, rows in zip(ran, batches, strict=True)])
        if not np.allclose(found, expected[number], rtol=PARITY_RTOL, atol=atol):
            worst = float(np.abs(found - expected[number]).max())
            raise ModelError(
                f"expected the graph's {name} within rtol {PARITY_RTOL}, atol {atol} of torch's on "
                f"{n} rows, found a difference of {worst}; nothing was written"
            )
        again = [outputs[number][: len(rows)][::-1] for outputs, rows in zip(moved, batches, strict=True)]
        if not np.array_equal(found, np.concatenate(again), equal_nan=True):
            raise ModelError(
                f"expected the graph's {name} of a row to be the same to the bit wherever it is in its batch, found "
                f"another; sum over rows with training.export.rows; nothing was written"
            )


def manifest_json(manifest: Manifest | HeadManifest) -> bytes:
    """Write a manifest as JSON that :func:`annotator.models.manifest.parse_as` reads back equal."""
    content = msgspec.to_builtins(manifest, enc_hook=_plain)
    if not content.get("provisional", True):
        del content["provisional"]
    # One line each for what nobody reads line by line.
    long = {
        name: content.pop(name)
        for name in ("distributions", "percentiles", "calibrated", "references")
        if name in content
    }
    text = json.dumps(content, indent=1, allow_nan=False)[:-2]
    text += "".join(f',\n "{name}": {json.dumps(value, allow_nan=False)}' for name, value in long.items())
    return f"{text}\n}}\n".encode()


def _plain(value: object) -> float | str:
    """Return what is a number or a text beneath: NumPy's float64 and torch's version are, and JSON has no others."""
    for kind in (float, str):
        if isinstance(value, kind):
            return kind(value)
    raise NotImplementedError


def describe_graph(graph: bytes) -> Mapping[str, str | int]:
    """Return the manifest's keys that name the graph."""
    return {"graph_sha256": hashlib.sha256(graph).hexdigest(), "graph_bytes": len(graph), "opset": OPSET}


def _without_traces(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Drop the exporter's notes, which hold source lines and paths of this machine."""
    graph.doc_string = graph.graph.doc_string = ""
    del graph.metadata_props[:]
    del graph.graph.metadata_props[:]
    for values in (
        graph.graph.node,
        graph.graph.initializer,
        graph.graph.input,
        graph.graph.output,
        graph.graph.value_info,
    ):
        for value in values:
            value.doc_string = ""
            del value.metadata_props[:]
    return graph
