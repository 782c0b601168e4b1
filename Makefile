# `make demo` and `make test` need Python 3.11 or later with venv, make, and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Files of tests that take longest go first, so that the two that run side by side end together.
LONGEST := $(addprefix tests/,acceptance/test_sample.py unit/test_google_sql.py acceptance/test_real_season.py \
	acceptance/test_planning.py acceptance/test_gcp.py unit/test_planner_model.py acceptance/test_durability.py acceptance/test_wounds.py)

.PHONY: demo sample test soak thorough witnesses check bench lock clean

demo: $(VENV)/.run
	$(BIN)/python examples/nba_season/demo.py

sample: $(VENV)/.run
	$(BIN)/python examples/nba_season/make_sample.py

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist=loadfile --no-loadscope-reorder -p no:benchmark --cov --cov-report=term:skip-covered --cov-fail-under=90 \
		$(LONGEST) tests/acceptance tests/contract tests/unit

soak: $(VENV)/.dev
	SOAK_KILLS=1000 $(BIN)/python -m pytest -p no:benchmark tests/acceptance/test_durability.py -k killed_at_any_moment

# Others who speak BigQuery's language, in an environment of their own; each is skipped where it is not.
witnesses: $(VENV)/.dev $(VENV)/witness/.done
	$(BIN)/python -m pytest -rs -p no:benchmark tests/acceptance/test_witnesses.py

# The brute-force models on thousands of random graphs; about half an hour.
thorough: $(VENV)/.dev
	THOROUGH=1 $(BIN)/python -m pytest -p no:benchmark tests/unit/test_planner_model.py tests/unit/test_explaining.py tests/acceptance/test_wounds.py

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/python -m pytest tests/benchmarks

$(VENV)/.run: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

$(VENV)/witness/.done:
	$(PYTHON) -m venv $(VENV)/witness
	$(VENV)/witness/bin/python -m pip install --quiet --disable-pip-version-check bqemulator==1.4.0 numpy
	touch $@

clean:
	rm -rf $(VENV) .backfill .coverage_data examples/nba_season/landing examples/nba_season/warehouse.duckdb*
