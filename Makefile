# make demo    install into .venv and run the whole job on the embedded Lasair
# make test    install what the tests need, check the code's form, run the tests
# make test-long  the tests that take long: a kill before every step, whole trainings, the wheel by itself, properties with
#              more examples
# make faults  let everything go wrong that can, thousands of times, and print what was lost; grow a ledger of years
# make models  train the shipped models again from ../shared/data; their cards show AHA's recipes if these were made
#              (make models SURVEY=lsst: the provisional ones of Rubin's LSST, from ../shared/data/rubin, in minutes)
# make recipes reproduce AHA's own recipes, which takes an hour, for the cards
# make wheel   build the wheel, the same to the bit from the same commit
# make lock    resolve anew what the annotator and its reports need: versions, digests, bill of materials, licences
# make bench   measure objects per second, where the time goes, and memory, against the straightforward way and, where it
#              can be installed, a peer's; stream, ledger and outbox; and seconds for a report of a thousand objects

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The exact build of torch that the models are trained and tested with; a range would bring gigabytes of GPU packages.
TORCH := torch==2.13.0
DATA ?= ../shared/data
SURVEY ?= ztf

.PHONY: lock wheel demo test test-long faults models models-ztf models-lsst recipes bench clean

into = --out onnx_models/ztf --out-of-fold build/out_of_fold
beside = $(if $(wildcard build/$(1)),--beside build/$(1))

demo: $(VENV)/.annotator
	$(BIN)/aha-annotator demo

# Four at a time on two cores: much of a test of a stream or of a killed pass is waiting. Each computes in one thread,
# since some that want both cores wait for each other; files begin in the order that tests/conftest.py gives them.
# Bytecode is kept, whatever the environment says: else every process compiles all modules, and tests start many.
test test-long: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.development
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not long" --numprocesses 4 --dist loadfile --no-loadscope-reorder

test-long: $(VENV)/.development
	OMP_NUM_THREADS=1 $(BIN)/pytest -m long --numprocesses 2 --dist loadfile --no-loadscope-reorder
	OMP_NUM_THREADS=1 $(BIN)/pytest -m 'hypothesis and not long' --hypothesis-profile=long --numprocesses 2 --dist loadfile

faults: $(VENV)/.development
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults --seed 1
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.bench_ledger_years

models: models-$(SURVEY)

models-lsst: $(VENV)/.development
	$(BIN)/aha-train features --survey lsst --data $(DATA)/rubin --out onnx_models/lsst
	$(BIN)/aha-train lightcurve --survey lsst --data $(DATA)/rubin --out onnx_models/lsst
	$(BIN)/aha-train exotic --survey lsst --data $(DATA)/rubin --out onnx_models/lsst --fresh
	$(BIN)/aha-train triplet --survey lsst --data $(DATA)/rubin --out onnx_models/lsst
	$(BIN)/aha-train worth --survey lsst --data $(DATA)/rubin --out onnx_models/lsst --nights 20 --jobs 2

models-ztf: $(VENV)/.development
	$(BIN)/aha-train features --data $(DATA)/object_features.csv $(into) $(call beside,aha)
	$(BIN)/aha-train lightcurve --data $(DATA)/lightcurves.parquet $(into) $(call beside,aha_lightcurve)
	$(BIN)/aha-train triplet --data $(DATA)/cutouts.npz $(into) $(call beside,aha_triplet)
	$(BIN)/aha-train artefact --data $(DATA)/cutouts.npz $(into) --fresh
	$(BIN)/aha-train exotic --data $(DATA)/object_features.csv $(into) --fresh --comparisons
	$(BIN)/aha-train known --data $(DATA) --out onnx_models/ztf
	$(BIN)/aha-train worth --data $(DATA) $(into) --jobs 2
	$(BIN)/aha-train stream-night --data $(DATA) $(into) --steps
	$(BIN)/aha-train young --data $(DATA) $(into) --comparisons

recipes: $(VENV)/.development
	$(BIN)/aha-train features --recipe aha --data $(DATA)/object_features.csv --out build/aha
	$(BIN)/aha-train lightcurve --recipe aha --data $(DATA)/lightcurves.parquet --out build/aha_lightcurve
	$(BIN)/aha-train triplet --recipe aha --data $(DATA)/cutouts.npz --out build/aha_triplet --epochs 10

bench: $(VENV)/.development
	-$(BIN)/pip install --quiet --editable '.[bench]'
	$(BIN)/python tests/benchmarks/bench_modalities.py
	$(BIN)/python tests/benchmarks/bench_stream.py
	$(BIN)/python -m tests.benchmarks.bench_report

# Of the same commit, by the same setuptools, the same bytes: the dates in it are the commit's, and rights do not differ.
wheel: export SOURCE_DATE_EPOCH = $(shell git log -1 --format=%ct)
wheel: $(VENV)/.development
	rm -rf build/lib build/bdist.* *.egg-info
	umask 022 && $(BIN)/python -m build --wheel
	sha256sum dist/*.whl

lock: $(VENV)/.python
	$(BIN)/pip install --quiet pip-tools cyclonedx-bom
	CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --extra report \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file requirements/report.txt setup.cfg
	rm -rf build/locked && $(PYTHON) -m venv --without-pip build/locked
	$(BIN)/pip --python build/locked/bin/python install --quiet --require-hashes -r requirements/report.txt
	$(BIN)/cyclonedx-py environment --output-reproducible --output-format JSON \
		--output-file requirements/report.cdx.json build/locked/bin/python
	$(BIN)/python requirements/licences.py requirements/report.cdx.json > requirements/LICENCES.md

clean:
	rm -rf $(VENV) build dist *.egg-info

$(VENV)/.python: Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "aha: $(PYTHON) is older than 3.11; name a newer one with: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "aha: $(PYTHON) lacks venv; on Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.annotator: $(VENV)/.python setup.cfg pyproject.toml
	$(BIN)/pip install --quiet --editable '.[report]'
	touch $@

$(VENV)/.development: $(VENV)/.python setup.cfg pyproject.toml
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --editable '.[postgres,report,train,test]'
	touch $@ $(VENV)/.annotator
