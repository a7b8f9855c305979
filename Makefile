# make demo | console | test | lint | bench | bench-quality | lock.  PYTHON: the interpreter; VENV: a virtual
# environment to use.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Two workers share the files of tests; a busy machine runs small batches faster on one thread.
TEST_ENV = OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=2
PYTEST_ARGS ?= -n 2 --dist loadfile
DEMO = outputs/demo

.PHONY: demo console test lint bench bench-quality lock clean
.DELETE_ON_ERROR:

demo: $(VENV)/.core
	rm -rf $(DEMO)
	$(BIN)/ringtrace world world=demo output=data/world
	$(BIN)/ringtrace ingest data=world output=$(DEMO)/ingest
	$(BIN)/ringtrace train data=world experiment=demo output=$(DEMO)/train
	$(BIN)/ringtrace score data=world bundle=$(DEMO)/train/bundle history=false entities=[user] output=$(DEMO)/score
	$(BIN)/ringtrace embed data=world bundle=$(DEMO)/train/bundle history=false output=$(DEMO)/embeddings
	$(BIN)/ringtrace build data=world output=$(DEMO)/graph
	$(BIN)/ringtrace find data=world scores=$(DEMO)/score output=$(DEMO)/rings
	$(BIN)/ringtrace rings init $(DEMO)/workspace --graph $(DEMO)/graph/graph --model $(DEMO)/train
	$(BIN)/ringtrace rings -w $(DEMO)/workspace import $(DEMO)/rings
	$(BIN)/ringtrace rings -w $(DEMO)/workspace list --limit 10
	@echo
	@echo "Look at:  $(DEMO)/train/report.html    how well it finds fraud, beside the floors (report_user.html: and who)"
	@echo "          $(DEMO)/rings/pictures       the rings it found, one picture each"
	@echo "          $(BIN)/ringtrace rings -w $(DEMO)/workspace list    the same as a queue of cases (docs/investigators.md)"
	@echo "          make console                 the same in your browser (docs/console.md)"
	@echo "          $(DEMO)/score                scores of events and entities, with your own keys (Parquet)"
	@echo "          $(DEMO)/embeddings           a vector for every entity, for a model of yours (docs/embeddings.md)"
	@echo "          $(DEMO)/ingest               what was doubtful in the input"
	@echo "          $(BIN)/tensorboard --logdir $(DEMO)/train    how training went"

# The console on what the demo found, for this machine alone; runs the demo first if it was not run. Ctrl-C ends it.
console: $(VENV)/.serve
	test -f $(DEMO)/rings/run.json || $(MAKE) demo
	test -f $(DEMO)/workspace/workspace.json || { \
	  $(BIN)/ringtrace rings init $(DEMO)/workspace --graph $(DEMO)/graph/graph --model $(DEMO)/train && \
	  $(BIN)/ringtrace rings -w $(DEMO)/workspace import $(DEMO)/rings; }
	@echo && echo "Sign in with this key; it is shown this once and ends in a day:"
	@$(BIN)/ringtrace rings -w $(DEMO)/workspace key add "$$($(BIN)/python -c 'import getpass; print(getpass.getuser())')" --days 1
	@$(BIN)/ringtrace serve $(DEMO)/workspace

test: lint
	$(TEST_ENV) $(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/graph_build.py
	$(BIN)/python benchmarks/sampling.py
	$(BIN)/python benchmarks/train_epoch.py
	$(BIN)/python benchmarks/queries.py
	$(BIN)/python benchmarks/investigators_load.py
	$(BIN)/python benchmarks/embedding_export.py

bench-quality: $(VENV)/.dev
	test -d data/world || $(BIN)/ringtrace world world=demo output=data/world
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/downstream.py
	$(BIN)/python benchmarks/readme_table.py

# The stamps make installing happen once, and again when what is asked for changes.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -qq -c constraints.txt -e .
	touch $@

$(VENV)/.serve: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -qq -c constraints.txt -e '.[serve]'
	touch $@ $(VENV)/.core

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -qq -c constraints.txt -e '.[dev,sweep,postgres,feast,downstream,serve]'
	touch $@ $(VENV)/.core $(VENV)/.serve

# Pin what a fresh environment resolves to. The local part of torch's version (+cpu, +cu128) is the user's choice.
lock:
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install -qq -e '.[dev,sweep,postgres,feast,downstream,serve]'
	head -1 constraints.txt > constraints.new
	.venv-lock/bin/python -m pip freeze --exclude-editable | sed 's/+[a-z0-9.]*$$//' | LC_ALL=C sort -f >> constraints.new
	mv constraints.new constraints.txt
	rm -rf .venv-lock

clean:
	rm -rf outputs dist build .mypy_cache .ruff_cache .pytest_cache
