# The VNI backend. `make` lists the targets.
#
# A target's help is the text after `##`; a group starts with `##@`.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --warn-undefined-variables

PYTHON3 ?= python3
VENV ?= .venv
PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
# checkov pins what it needs so narrowly that it gets an environment of its own.
CHECKOV := $(VENV)/checkov

export PYTHONUNBUFFERED := 1

##@ Start here

.PHONY: help
help: ## List the targets
	@awk -f scripts/help.awk $(MAKEFILE_LIST)

.PHONY: setup
setup: $(INSTALLED) ## Make the virtual environment (.venv) with everything pinned

$(INSTALLED): requirements/development.txt
	@PYTHON3="$(PYTHON3)" VENV="$(VENV)" scripts/setup.sh $<
	@touch $@

$(CHECKOV)/.installed: requirements/checkov.txt | $(INSTALLED)
	@PYTHON3="$(PYTHON3)" VENV="$(CHECKOV)" scripts/setup.sh $<
	@touch $@

.PHONY: demo
demo: setup ## Run the whole backend with 25 charging points and a roaming hub, compare all books (≤ 2 minutes)
	@$(PYTHON) -m scripts.demo

.PHONY: test
test: setup ## Run all tests
	@$(PYTHON) -m pytest -n $(TEST_WORKERS) $(PYTEST)

TEST_WORKERS ?= 2
PYTEST ?=

.PHONY: hub-figures
hub-figures: setup ## Measure remote starts and CDRs through the hub simulator (ARGS=)
	@$(PYTHON) -m scripts.hub_figures $(ARGS)

##@ Develop

.PHONY: check
check: setup lint ## Everything CI runs: format, lint, types, import rules, tests
	@$(MAKE) test

.PHONY: lint
lint: setup $(CHECKOV)/.installed ## Format, lint, types, import rules and templates, without the tests
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m mypy
	@$(VENV)/bin/lint-imports --no-logo setup.cfg
	@$(PYTHON) -m templates --check
	@$(VENV)/bin/cfn-lint generated/*.yml
	@$(CHECKOV)/bin/checkov
	@$(VENV)/bin/hadolint */Dockerfile
	@git ls-files -z -- '*.sh' '.ci/run' | xargs -0 -r $(VENV)/bin/shellcheck

.PHONY: format
format: setup ## Rewrite the code in the project's format
	@$(PYTHON) -m ruff format .
	@$(PYTHON) -m ruff check --fix --exit-zero -q .

.PHONY: generate-templates
generate-templates: setup ## Write generated/*.yml anew from templates/
	@$(PYTHON) -m templates

.PHONY: cost
cost: setup ## Compute docs/cost.md anew from docs/cost.toml and the environments' sizes
	@$(PYTHON) -m scripts.cost

.PHONY: ocpp-pages
ocpp-pages: setup ## Write docs/ocpp.md and docs/conformance.md anew from the dialects and the tests
	@$(PYTHON) -m scripts.ocpp_pages

.PHONY: upgrade-requirements
upgrade-requirements: ## Resolve setup.cfg's extras anew into requirements/*.txt, pinned with hashes
	@PYTHON3="$(PYTHON3)" scripts/upgrade_requirements.sh

.PHONY: clean
clean: ## Remove what can be made again (keeps var/, the local database)
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

##@ Run locally

# Where the local programs listen and what the simulator connects to.
HOST ?= 127.0.0.1
PORT ?= 9000
THIRD_PARTY_PORT ?= 9100
CONSOLE_PORT ?= 9300
# More words for the program: make run-cp-backend-locally ARGS="--help"
ARGS ?=
# docker or podman: the service's image, built and run; empty: the program itself.
CONTAINER ?=
says_what_runs = $(if $(CONTAINER),,echo "Running the program itself; CONTAINER=docker make $@ builds its image and runs that." >&2;)

.PHONY: run-cp-backend-locally
run-cp-backend-locally: setup ## Run charging-point-backend on ws://127.0.0.1:9000 (PORT=, ARGS=; CONTAINER=podman: its image)
	@$(says_what_runs) CP_BACKEND_ADMIT_UNKNOWN=$${CP_BACKEND_ADMIT_UNKNOWN:-true} \
		CP_BACKEND_ADMIT_UNKNOWN_TOKENS=$${CP_BACKEND_ADMIT_UNKNOWN_TOKENS:-true} \
		exec $(if $(CONTAINER),$(CLOUD) run charging-point,$(PYTHON) -m cp_backend) --host $(HOST) --port $(PORT) $(ARGS)

.PHONY: run-third-party-backend-locally
run-third-party-backend-locally: setup ## Run the hub's REST service on http://127.0.0.1:9100 (THIRD_PARTY_PORT=, CONTAINER=)
	@$(says_what_runs) exec $(if $(CONTAINER),$(CLOUD) run third-party,$(PYTHON) -m third_party_backend) --host $(HOST) --port $(THIRD_PARTY_PORT) $(ARGS)

.PHONY: run-console-locally
run-console-locally: setup ## Run the operators' console on http://127.0.0.1:9300; the first account is printed once (CONSOLE_PORT=)
	@exec $(PYTHON) -m operations.console --host $(HOST) --port $(CONSOLE_PORT) $(ARGS)

.PHONY: run-relay-locally
run-relay-locally: setup ## Run the relay to the hub simulator's address, or to THIRD_PARTY_HUB_URL
	@THIRD_PARTY_HUB_URL=$${THIRD_PARTY_HUB_URL-http://127.0.0.1:9200} \
		THIRD_PARTY_OPERATOR_ID=$${THIRD_PARTY_OPERATOR_ID:-DE*VNI} \
		THIRD_PARTY_OPERATOR_NAME=$${THIRD_PARTY_OPERATOR_NAME:-VNI} \
		exec $(PYTHON) -m third_party_backend relay $(ARGS)

# wss:// to a named backend; ws:// to the local one, which has no certificate.
BACKEND_HOSTNAME ?=
# A deployed environment, whose authority, name and test charging point are then used.
ENVIRONMENT ?=

.PHONY: run-charging-point-simulator
run-charging-point-simulator: setup ## Send "Hello" every 5 s to BACKEND_HOSTNAME of ENVIRONMENT= (default: local); ARGS="station", "charge", "--help"
	@exec $(if $(ENVIRONMENT),$(CLOUD) simulate --,$(PYTHON) -m charging_point_simulator) $(ARGS) \
		$(if $(ENVIRONMENT),,$(if $(BACKEND_HOSTNAME),--host $(BACKEND_HOSTNAME),--host $(HOST) --port $(PORT) --plain))

# The hub: where it listens for us, and where it listens for you.
HUB_PORT ?= 9200
HUB_CONTROL_PORT ?= 9201

.PHONY: run-third-party-hub-simulator
run-third-party-hub-simulator: setup ## Play the roaming hub on http://127.0.0.1:9200 (HUB_PORT=, ARGS=)
	@exec $(PYTHON) -m third_party_hub_simulator serve --port $(HUB_PORT) \
		--control-port $(HUB_CONTROL_PORT) --operator-url http://$(HOST):$(THIRD_PARTY_PORT) $(ARGS)

##@ Measure

CHARGING_POINTS ?= 100000
SECONDS ?= 300

.PHONY: capacity
capacity: setup ## Hold CHARGING_POINTS= (100000) for SECONDS= (300), storm, drain, write docs/capacity.md
	@$(PYTHON) -m scripts.capacity --charging-points $(CHARGING_POINTS) --seconds $(SECONDS) $(ARGS)

.PHONY: command-latency
command-latency: setup ## Measure commands' round trips with 10,000 charging points on 3 nodes
	@$(PYTHON) -m scripts.capacity.round_trips $(ARGS)

.PHONY: flood
flood: setup ## Measure what a charging point waits for while 64 others flood its node
	@$(PYTHON) -m scripts.capacity.flood $(ARGS)

.PHONY: import-figures
import-figures: setup ## Measure what charging points wait for while 60,000 EVSEs are imported and 10,000 charge
	@$(PYTHON) -m scripts.capacity.imports $(ARGS)

.PHONY: plans
plans: setup ## Hold all periodic statements' plans over tables of 6,000,000 rows (ARGS="--rows 100000")
	@$(PYTHON) -m tests.plans $(ARGS)

KILLS ?= 50

.PHONY: roaming-kills
roaming-kills: setup ## Kill the hub's relay KILLS= (50) times over ten times as many sessions
	@ROAMING_KILLS=$(KILLS) $(PYTHON) -m pytest -n 0 -s tests/system/test_roaming_kills.py $(ARGS)

FUZZ_SECONDS = $(if $(filter command line,$(origin SECONDS)),$(SECONDS),120)

.PHONY: fuzz
fuzz: setup ## Try wrong messages at every seam for SECONDS= (120); ARGS="--seed 1 --seam hub" repeats some
	@$(PYTHON) -m tests.fuzzing --seconds $(FUZZ_SECONDS) $(ARGS)

.PHONY: compare-peers
compare-peers: setup ## Hold a node against PyPI ocpp, websockets, aiohttp and picows; write docs/capacity-peers.md
	@$(PYTHON) -m scripts.capacity.compare $(ARGS)

##@ Operate

.PHONY: register-charging-point
register-charging-point: setup ## Register CHARGING_POINT= and print its password once
	@$(PYTHON) -m operations charging-points register $(call required,CHARGING_POINT) $(ARGS)

.PHONY: list-charging-points
list-charging-points: setup ## List charging points with presence and status
	@$(PYTHON) -m operations charging-points list $(ARGS)

.PHONY: list-refused-handshakes
list-refused-handshakes: setup ## List who was not let in, why, and what to do about it
	@$(PYTHON) -m operations handshakes refused $(ARGS)

.PHONY: show-nodes
show-nodes: setup ## Show the nodes live: connections, messages, latencies, queues (ARGS=--json for more)
	@$(PYTHON) -m operations nodes --watch $(ARGS)

.PHONY: add-token
add-token: setup ## Let TOKEN= charge
	@$(PYTHON) -m operations tokens add $(call required,TOKEN) $(ARGS)

.PHONY: list-sessions
list-sessions: setup ## List charging sessions with their energy
	@$(PYTHON) -m operations sessions list $(ARGS)

.PHONY: show-session
show-session: setup ## Show SESSION= with its meter values
	@$(PYTHON) -m operations sessions show $(call required,SESSION) $(ARGS)

.PHONY: maintain
maintain: setup ## Archive and drop what need not be kept any longer (ARGS=--dry-run)
	@$(PYTHON) -m operations maintain $(ARGS)

.PHONY: migrate-database
migrate-database: setup ## Bring DATABASE_URL's schema (or the local one) up to date (ARGS=--grant)
	@$(PYTHON) -m charging.database upgrade $(ARGS)

##@ Deploy: AWS_PROFILE=… ACCOUNT_ID=… ENVIRONMENT=… make …; docs/deploying.md

# Which service's logs: charging-point, third-party, migrations, operations, …
SERVICE ?= charging-point
CLOUD = $(PYTHON) -m scripts.cloud

.PHONY: deploy-backend-services
deploy-backend-services: setup ## Bring a whole environment up to date, from an empty account if need be (WHITELIST_IP=, CHARGING_POINTS=, DOMAIN=)
	@$(CLOUD) deploy

.PHONY: plan
plan: setup ## Show what deploy-backend-services would change, stack by stack; nothing is changed
	@$(CLOUD) plan

.PHONY: create-certificates
create-certificates: setup ## Make or renew the load balancers' certificates (CERTIFICATE_NAMES=, FORCE=1)
	@$(CLOUD) create-certificates

.PHONY: create-global-accelerator
create-global-accelerator: setup ## Give the services fixed addresses, and print them
	@$(CLOUD) create-accelerator

.PHONY: reserve-capacity
reserve-capacity: setup ## Keep UNITS= LCU ready at the charging points' load balancer; 0 gives them back
	@$(CLOUD) reserve-capacity

.PHONY: build-cp-backend
build-cp-backend: setup ## Build charging-point-backend's image on this machine (CONTAINER=docker|podman)
	@$(CLOUD) build charging-point

.PHONY: pin-base-image
pin-base-image: setup ## Pull the base of the images and write its digest into their Dockerfiles
	@$(CLOUD) pin-base-image

.PHONY: deploy-cp-backend
deploy-cp-backend: setup ## Build, push, migrate, update charging-point-backend; wait until it is stable (IMAGE_TAG=)
	@$(CLOUD) deploy-service charging-point

.PHONY: build-third-party-backend
build-third-party-backend: setup ## Build third-party-backend's image on this machine (CONTAINER=docker|podman)
	@$(CLOUD) build third-party

.PHONY: deploy-third-party-backend
deploy-third-party-backend: setup ## Build, push, update third-party-backend; wait until it is stable (IMAGE_TAG=)
	@$(CLOUD) deploy-service third-party

.PHONY: build-console
build-console: setup ## Build the operators' console's image on this machine (CONTAINER=docker|podman)
	@$(CLOUD) build console

.PHONY: deploy-console
deploy-console: setup ## Give an environment the operators' console, or bring it up to date (CONSOLE_ADDRESSES=, HOSTED_ZONE=, DOMAIN=, CONSOLE_SIGN_IN=local)
	@$(CLOUD) deploy-console

.PHONY: delete-console
delete-console: setup ## Take the console of an environment away, and who may sign in to it; asks first
	@$(CLOUD) delete-console

.PHONY: promote
promote: setup ## Let both services run the images, by digest, that another environment runs (FROM=staging)
	@$(CLOUD) promote

.PHONY: verify-images
verify-images: setup ## Build and try both images, where docker or podman is (CONTAINER=)
	@VERIFY_IMAGES=1 $(PYTHON) -m pytest -q -s tests/system/test_images.py

.PHONY: deploy-delivery-pipeline
deploy-delivery-pipeline: setup ## Deploy the pipelines from GitHub to here (GITHUB_REPOSITORY=, BRANCH=, CONNECTION_ARN=)
	@$(CLOUD) deploy-delivery-pipeline

.PHONY: store-github-token
store-github-token: setup ## Ask for the pipelines' GitHub token, unseen, and keep it in Secrets Manager
	@$(CLOUD) store-github-token

.PHONY: pipeline-build
pipeline-build: setup ## Do what the pipeline's build does: check, test, build the image (SERVICE=third-party)
	@$(PYTHON) -m scripts.pipeline build $(SERVICE)

.PHONY: pipeline-test
pipeline-test: setup ## Do what the pipeline's test does: charge over WSS, command, drain (SERVICE=third-party)
	@$(PYTHON) -m scripts.pipeline test $(SERVICE)

.PHONY: deploy-access
deploy-access: setup ## Deploy the groups of users, and what each may do
	@$(CLOUD) deploy-access

.PHONY: environment-status
environment-status: setup ## Show stacks, services, tasks, addresses and alarms
	@$(CLOUD) status

.PHONY: tail-logs
tail-logs: setup ## Follow a service's log (SERVICE=third-party, CHARGING_POINT=, MINUTES=)
	@$(CLOUD) tail-logs $(SERVICE)

.PHONY: restore
restore: setup ## Put a backup in the place of the database: TIME= or SNAPSHOT=, FROM= another environment's
	@$(CLOUD) restore

.PHONY: restore-drill
restore-drill: setup ## Put a backup beside the database, audit DAY= of it, take it away (TIME=, SNAPSHOT=)
	@$(CLOUD) restore-drill

.PHONY: operations
operations: setup ## Run an operator's command in ENVIRONMENT=: ARGS="charging-points list" (FILE= a file that it reads)
	@$(CLOUD) operations

.PHONY: delete-environment
delete-environment: setup ## Take an environment away; asks first, and twice for production
	@$(CLOUD) delete

# $(call required,NAME): the variable's value, or a clear word about what is missing.
required = $(if $($(1)),$($(1)),$(error $(1) is not set; say make $@ $(1)=…))
CHARGING_POINT ?=
TOKEN ?=
SESSION ?=
