# Each target makes the virtual environment first, once. Another place: make test VENV=somewhere
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# Everything that the leaderboard compares, in the order in which it is run.
CONTROLS := reference static cutout shuffled
MODELS   := slow-50step slow-4step plugged-4step flashmotion-4step
ROWS     := $(CONTROLS) $(MODELS)
# The README's picture, beside the reference.
DRAWN    := slow-50step plugged-4step flashmotion-4step
SHOWN    := 1-0000 2-0001 3-0000 5-0002

.PHONY: venv eval test test-slurm soak bench lint train-nano train-nano-gpu train-queue leaderboard results clean
.DEFAULT_GOAL := eval

venv: $(STAMP)

$(STAMP): setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV): about 6 GB, minutes"
	$(BIN)/python -m pip install -qq --constraint constraints.txt --editable ".[test,train]"
	touch $@

eval: $(STAMP)
	$(BIN)/flashbench eval --model flashmotion-4step -o runs/flashmotion-4step

test: $(STAMP)
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

# Kills and damages, counted: twenty minutes.
soak: $(STAMP)
	$(BIN)/python scripts/soak.py

# Debian's slurm-wlm and munge, as root.
test-slurm: SHELL := /bin/bash
test-slurm: $(STAMP)
	mkdir -p build
	set -o pipefail; scripts/test_slurm.sh $(BIN) 2>&1 | tee build/slurm.log
	grep -v 'accounting storage\|sacct' build/slurm.log | $(BIN)/python scripts/pages.py docs/reliability.md slurm

bench: $(STAMP)
	$(BIN)/python benchmarks/run.py
	$(BIN)/python scripts/fill_readme.py

# Hours on two cores. Every stage goes on where it was stopped.
train-nano: $(STAMP)
	for stage in codec base slow-adapter fast-generator fast-adapter; do \
		$(BIN)/flashmotion train $$stage --preset nano || exit; \
	done

# The same on one GPU, in ten minutes; the codec is the shipped one (docs/training.md). The base goes on with all 31 latent
# frames after 13: that brought more than as many steps again on 13. A machine that has no
# registry: make train-nano-gpu FLASHMOTION="python3 -m flashmotion.cli"
FLASHMOTION    ?= $(BIN)/flashmotion
ON_GPU         := --preset nano --device cuda --pool --compile --noise device --set scenes=4096
WHOLE          := --set groups=30
BASE           ?= --batch 64 --fit 2.5
BASE_WHOLE     ?= --batch 24 --fit 2.5
SLOW_ADAPTER   ?= --batch 24 --fit 2
FAST_GENERATOR ?= --batch 8 --fit 1
train-nano-gpu: $(if $(filter $(BIN)/%,$(FLASHMOTION)),$(STAMP))
	$(FLASHMOTION) train base $(ON_GPU) --workers 16 $(BASE)
	$(FLASHMOTION) train base $(ON_GPU) $(WHOLE) --warm --run base-whole $(BASE_WHOLE)
	$(FLASHMOTION) train slow-adapter $(ON_GPU) $(WHOLE) $(SLOW_ADAPTER)
	$(FLASHMOTION) train fast-generator $(ON_GPU) $(WHOLE) $(FAST_GENERATOR)
	$(FLASHMOTION) train fast-adapter $(ON_GPU) $(WHOLE)

# What the shipped model is compared with, trained and scored one after the other (a day on two cores).
train-queue: $(STAMP)
	$(BIN)/python scripts/train_queue.py

# Every row anew (finished runs are kept: remove runs/ to begin again), then the committed table, the README's and its
# picture.
leaderboard: $(STAMP)
	for model in $(ROWS); do $(BIN)/flashbench eval --model $$model -o runs/$$model || exit; done
	$(BIN)/flashbench leaderboard $(addprefix runs/,$(ROWS)) -o leaderboards/sprites-v1.csv
	$(BIN)/python benchmarks/run.py --only rows
	$(BIN)/python scripts/fill_readme.py $(addprefix runs/,$(ROWS))
	$(BIN)/python scripts/draw_frames.py $(addprefix runs/,$(DRAWN)) $(addprefix --cases ,$(SHOWN)) -o docs/frames.png

# The paper's signs and open points, from what is scored: runs/ and runs/queue/; and frames of what is there.
COMPARED := slow-50step plugged-4step flashmotion-4step queue/diffusion-only queue/gan-only queue/fixed-lambda queue/slow-tuned
results: $(STAMP)
	$(BIN)/python scripts/results.py
	$(BIN)/python scripts/draw_frames.py $(wildcard $(addprefix runs/,$(COMPARED))) $(addprefix --cases ,2-0003 4-0002) -o docs/results.png

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
