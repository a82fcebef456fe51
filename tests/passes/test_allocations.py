"""What memory a batch may take an object, from Lasair's bytes to the ledger, and that it leaves none behind.

With `pytest -s` what was counted is printed.
"""

import gc
import sys
import tracemalloc

import pytest

from tests.benchmarks.bench_modalities import Bench, simulated_batch

N_OBJECTS = 64
BATCHES = 4
PEAK_KB = 280
"""An object, of what Python and NumPy allocate: 150 kB are stamps, as read and as tensors, and the ledger's copy."""
BLOCKS_HELD = 950
"""An object, in the result of a batch."""
BLOCKS_LEFT = 3
"""An object, once its batch is over: the ledger's statements and the like, which come to rest."""


@pytest.fixture
def bench(all_models, tmp_path):
    found = Bench(all_models, simulated_batch(N_OBJECTS), tmp_path)
    found.annotate(found.new_objects(N_OBJECTS))  # what is imported and compiled at first is none of an object's
    yield found
    found.ledger.close()


def test_a_batch_takes_no_more_memory_than_promised(bench):
    texts = bench.new_objects(N_OBJECTS)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        bench.annotate(texts)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    kb = (peak - before) / N_OBJECTS / 1000
    print(f"\n{kb:.0f} kB an object at the peak")
    assert 100 < kb <= PEAK_KB


def test_a_batch_holds_no_more_allocations_than_promised_and_leaves_none(bench):
    gc.collect()
    before = sys.getallocatedblocks()
    scored = bench.annotate(bench.new_objects(N_OBJECTS))
    held = (sys.getallocatedblocks() - before) / N_OBJECTS
    del scored
    for _ in range(BATCHES):
        bench.annotate(bench.new_objects(N_OBJECTS))
    gc.collect()
    left = (sys.getallocatedblocks() - before) / ((1 + BATCHES) * N_OBJECTS)
    print(f"\n{held:.0f} blocks an object held, {left:.2f} left")
    assert 100 < held <= BLOCKS_HELD
    assert left <= BLOCKS_LEFT
