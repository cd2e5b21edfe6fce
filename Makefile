# make run              set everything up, then open the chat (or do a default task, with no terminal)
# make run TASK='…'     set everything up, then do that task; exits 0 when it is done, 1 when not
# make test             set everything up, then run the tests
# make dataset          make the training data again, all of it (hours); SCALE=0.01 for a little of it
# make model            a model from nothing by the whole line, in use if it is better; SIZE=tiny to see how it goes,
#                       SIZE=micro on a GPU, MINUTES=60 of pretraining for less
# make lint             formatting, types, and which room may import which
# make clean            remove the environment and caches; the state folder .shopfloor/ stays

PYTHON ?= python3
VENV ?= .venv
SCALE ?= 1
export DEFAULT_TASK := Comment "I will call back." on the ticket "Scanner needs an update".

# Named after what it was made from, so that a changed dependency sets up again and nothing else does.
STAMP := $(VENV)/.set-up-$(shell cat pyproject.toml constraints.txt setup.sh | sha256sum | cut -c 1-16)

.PHONY: run test lint dataset model clean setup

# Someone who types the task has said yes to it; with no terminal nobody could be asked. It works on the demo app.
run: $(STAMP)
	@if [ ! -t 0 ] || [ ! -t 1 ]; then $(VENV)/bin/shopfloor chat --yes "$${TASK:-$$DEFAULT_TASK}" </dev/null; \
	elif [ -n "$$TASK" ]; then $(VENV)/bin/shopfloor chat "$$TASK"; \
	else $(VENV)/bin/shopfloor chat; fi

test: $(STAMP)
	@$(VENV)/bin/pytest -n 2

lint: $(STAMP)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

dataset: $(STAMP)
	@SCALE="$(SCALE)" VENV="$(VENV)" bash deploy/dataset.sh

model: $(STAMP)
	@$(VENV)/bin/shopfloor line --from-scratch --size "$(or $(SIZE),nano)" $(if $(MINUTES),--minutes "$(MINUTES)")

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" bash setup.sh
	@rm -f $(VENV)/.set-up-*
	@touch $@

clean:
	rm -rf $(VENV) *.egg-info build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
