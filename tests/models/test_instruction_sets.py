"""What another processor's instructions make of the same objects."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models.score_pickled import said

QEMU = "qemu-x86_64"
PROCESSORS = ("Haswell", "Nehalem")
"""With AVX2 and FMA, and without either. Those of this machine may be newer; qemu has no AVX-512."""

MAX_RELATIVE_ERROR = 1e-5
"""Of an error: sums of numbers of single precision, added in another order."""
MAX_SCORE = 0.00005
"""Half of the fourth decimal, which a score is rounded to where it is written."""


@pytest.mark.long
@pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"{QEMU} is not there; on Debian: apt-get install qemu-user")
@pytest.mark.parametrize("processor", PROCESSORS)
def test_what_is_written_of_an_object_is_the_same_on_another_processor(transients, processor, tmp_path):
    path = tmp_path / "objects.pickle"
    path.write_bytes(pickle.dumps(transients))
    program = Path(__file__).with_name("score_pickled.py")
    # OPENBLAS_CORETYPE names the instructions of this machine's processor, whatever the other one has.
    of_any_processor = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    ran = subprocess.run(
        [QEMU, "-cpu", processor, sys.executable, str(program), str(path)],
        env=of_any_processor | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=True,
        timeout=900,
    )
    here, there = said(path), json.loads(ran.stdout)
    assert len(there) == len(here) == len(transients) >= 50
    n_compared = 0
    for one, other in zip(here, there, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            if value is None:
                assert other[name] is None
            elif name.endswith("_error"):
                assert other[name] == pytest.approx(value, rel=MAX_RELATIVE_ERROR), name
            else:
                assert other[name] == pytest.approx(value, abs=MAX_SCORE), name
            n_compared += value is not None
    assert n_compared > 9 * len(transients)
