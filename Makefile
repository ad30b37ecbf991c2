# make demo: install, analyze the example clip, show its timeline.   make test: install, run the tests.
# make quick: the tests without processes, browsers and nets, in under a minute.   make check: ruff and mypy.
PYTHON ?= python3
VENV ?= .venv
MODEL ?= default
WORKERS ?= 2
BIN := $(VENV)/bin

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
METADATA := setup.cfg pyproject.toml constraints.txt

.PHONY: demo picture man test quick check format dist clean

demo: $(VENV)/installed
	@mkdir -p demo
	$(BIN)/fervid analyze examples/clip.mp4 --model $(MODEL) --timeline demo/clip.json --overwrite
	@$(BIN)/fervid --quiet report demo/clip.json --video examples/clip.mp4 --output demo/report.html --overwrite
	@$(BIN)/fervid show demo/clip.json --top 5
	@echo; echo "Open demo/report.html in a browser: it plays the clip beside this timeline."

# The picture of the README.
picture: $(VENV)/installed
	$(BIN)/python examples/make_picture.py

# Man pages and a Markdown reference of all commands, in man/.
man: $(VENV)/installed
	$(BIN)/python docs/make_man.py man

# A worker whose test waits for ever ends; another one would begin with the same test.
test: $(VENV)/installed-test
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0

quick: $(VENV)/installed-test
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal -m quick

check: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A wheel and a source archive, and a try of the wheel in an empty environment.
dist: $(VENV)/installed-test
	rm -rf build dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python tests/try_wheel.py dist/fervid-*.whl

clean:
	rm -rf $(VENV) build dist demo man fervid.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(METADATA) | $(BIN)/python
	$(INSTALL) --editable .
	@touch $@

$(VENV)/installed-test: $(METADATA) | $(BIN)/python
	$(INSTALL) --editable ".[test]"
	@touch $@ $(VENV)/installed
