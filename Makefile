# Two commands: `make demo` runs the main job, `make test` the gate. Both set up .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
WORK ?= work

.PHONY: demo test check constraints clean

demo: $(RUNTIME)
	$(BIN)/goldgate demo --work $(WORK)

test: $(DEV)
	VENV=$(VENV) scripts/check
	$(BIN)/python -m pytest

check: $(DEV)
	VENV=$(VENV) scripts/check

$(RUNTIME): pyproject.toml constraints.txt
	scripts/install $(PYTHON) $(VENV) ".[openvino]"
	touch $@

$(DEV): pyproject.toml constraints.txt
	scripts/install $(PYTHON) $(VENV) ".[dev]"
	touch $(RUNTIME) $@

constraints: $(DEV)
	echo uv | $(BIN)/uv pip compile --universal --python-version 3.10 --upgrade --no-annotate --no-header --extra dev \
		--output-file $(VENV)/constraints.txt pyproject.toml -
	{ echo "# What was tested, for Python 3.10 to 3.13. Made again by: make constraints"; cat $(VENV)/constraints.txt; } > constraints.txt

clean:
	rm -rf $(VENV) $(WORK)
