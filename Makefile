# `make help` lists what there is; `make test` is all that has to pass.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export GOTOOLCHAIN ?= local
export GOFLAGS ?= -buildvcs=false

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS   = -s -w -X main.version=$(VERSION)
COMMANDS := $(patsubst cmd/%/main.go,%,$(wildcard cmd/*/main.go))
UNIT     := $$(go list ./... | grep -v '/e2e')
GOFILES  := git ls-files --cached --others --exclude-standard '*.go'
MARKDOWN := git ls-files --cached --others --exclude-standard '*.md'
SHELLS   := grep -lE '^\#!.*\b(ba)?sh' .ci/run scripts/*
GOLANGCI := .tools/bin/golangci-lint
FERRETDB := .tools/bin/ferretdb
NODE     := tools/node_modules/.package-lock.json
WEBNODE  := web/node_modules/.package-lock.json
OPENAPI  := docs/openapi.json
PYTHON   := clients/python/.venv/.installed
FUZZTIME ?= 10s
PICTURES := group-statistics-desktop-light devices-fleet-desktop-light admin-overview-desktop-dark
STARTED  := $(shell date +%s)

##@ Use

.PHONY: help
help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9%-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: web $(COMMANDS:%=bin/%) ## static binaries into bin/, the server with the web client

.PHONY: web
web: web/dist/index.html ## the web client into web/dist, from where the server embeds it

web/dist/index.html: $(WEBNODE) $(shell git ls-files --cached --others --exclude-standard web/src web/public web/index.html web/vite.config.ts)
	npm run --prefix web --silent build

# grpcnotrace leaves out what grpc, of which the exporter of traces has its types, brings
# to look for methods by name (docs/decisions/007-size.md).
bin/%: FORCE
	CGO_ENABLED=0 go build -tags grpcnotrace -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/$*

.PHONY: dist
dist: web ## server, worker and command line for every platform, the Python wheel, and checksums, into dist/
	@scripts/dist $(VERSION)

.PHONY: demo
demo: web ## server, workers and tasks on this machine, then a crash (DEMO_EXIT=1: leave at the end)
	@scripts/demo

##@ Check

.PHONY: test
test: ## everything that has to pass, cheapest first, stopping at the first failure
	@scripts/step setup $(MAKE) setup
	@scripts/step format $(MAKE) check-fmt
	@scripts/step links $(MAKE) links
	@scripts/step vet go vet ./...
	@scripts/step platforms $(MAKE) check-platforms
	@scripts/step generated $(MAKE) check-generated
	@scripts/step lint $(MAKE) lint
	@scripts/step web $(MAKE) test-web
	@scripts/step 'browser tests' $(MAKE) test-browser
	@scripts/step 'unit and integration tests' $(MAKE) test-unit
	@scripts/step allocations $(MAKE) guard
	@scripts/step 'Python SDK' $(MAKE) test-python
	@scripts/step 'end-to-end tests' $(MAKE) test-e2e
	@scripts/step 'size of the server' $(MAKE) check-size
	@scripts/step demo env DEMO_EXIT=1 $(MAKE) demo
	@echo "make test: all passed in $$(( $$(date +%s) - $(STARTED) )) s"

# A program with the race detector sleeps for a second when it ends, unless told
# otherwise; the tests start hundreds.
export GORACE ?= atexit_sleep_ms=20

# SQLite, C translated into Go, takes three times as long under the race detector,
# which has nothing to find in it: what is called from our code is in other packages.
test-unit test-e2e test-long test-cluster: export GOFLAGS += \
	-gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false

.PHONY: test-unit
test-unit: ## unit and integration tests, with the race detector and real servers
	go test -race -timeout 10m $(UNIT)

.PHONY: test-python
test-python: bin/server bin/worker $(PYTHON) ## Python SDK and client: ruff, mypy, tests with real servers and workers, the wheel
	cd clients/python && .venv/bin/ruff check && .venv/bin/ruff format --check --quiet && .venv/bin/mypy && .venv/bin/pytest

.PHONY: test-e2e
test-e2e: $(PYTHON) ## real processes, killed and restarted
	go test -race -timeout 15m -count 1 ./e2e/...

.PHONY: test-long
test-long: ## everything, with the tests that take minutes (build tag long)
	go test -race -timeout 60m -count 1 -tags long ./...

.PHONY: test-cluster
test-cluster: ## servers, workers, Redis and the store killed, stopped or cut off at random for five minutes (FIRMLIGHT_TEST_SEED repeats a run)
	go test -race -timeout 30m -count 1 -v -tags long -run 'TestCluster|TestRollingRestart|TestJobsRunTwice|TestRelay' ./e2e

.PHONY: test-web
test-web: $(WEBNODE) ## the web client: lint, types, unit tests, build, and is the script of the first page small enough?
	npm run --prefix web --silent check
	npm run --prefix web --silent test
	@$(MAKE) web
	npm run --prefix web --silent budget

.PHONY: test-browser
test-browser: build ## the web client in Chromium against the real server with real workers
	npm run --prefix web --silent browser

.PHONY: lint
lint: $(GOLANGCI) $(NODE) ## Go, shell, YAML, AsyncAPI, what is in deploy, and does the script of bench parse?
	$(GOLANGCI) run ./...
	node --check bench/peers/load.js
	node tools/asyncapi.mjs docs/asyncapi.yaml
	shellcheck $$($(SHELLS))
	PATH=$$PATH:/usr/sbin haproxy -c -q -f deploy/haproxy/haproxy.cfg
	@units=$$(mktemp -d); trap 'rm -r "$$units"' EXIT; for f in deploy/systemd/*; do \
		sed 's|^ExecStart=.*|ExecStart=/bin/true|' $$f > $$units/$${f##*/}; done; systemd-analyze verify --man=no $$units/*
	@for f in $$(git ls-files '*.yml' '*.yaml'); do \
		tools/node_modules/.bin/yaml valid --merge < $$f || { echo "$$f is not valid YAML"; exit 1; }; done

.PHONY: check-fmt
check-fmt: ## is the Go code formatted?
	@files=$$($(GOFILES) | xargs gofmt -s -l); \
		[ -z "$$files" ] || { echo "not formatted, run \`make fmt\`:"; echo "$$files"; exit 1; }

.PHONY: check-platforms
check-platforms: ## do the programs compile for other systems?
	@for p in windows/amd64 darwin/arm64 linux/arm; do \
		GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 go build -o /dev/null ./cmd/worker && \
		GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 go build -o /dev/null ./cmd/firmlight || exit 1; done
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 go build -o /dev/null ./cmd/server

.PHONY: check-generated
check-generated: $(WEBNODE) ## is what is generated up to date?
	go mod tidy -diff
	@go run ./cmd/server openapi | diff -u $(OPENAPI) - || { echo "$(OPENAPI) is old, run \`make generate\`"; exit 1; }
	@npm run --prefix web --silent types -- --check || { echo "web/src/api/schema.d.ts is old, run \`make generate\`"; exit 1; }

.PHONY: check-size
check-size: bin/server ## is the server small enough (P9)?
	@size=$$(stat -c %s bin/server); [ $$size -le 40000000 ] || \
		{ echo "bin/server has $$size bytes, 40000000 are allowed: docs/decisions/007-size.md"; exit 1; }

.PHONY: guard
guard: ## do the hot functions allocate more than at the last release? Times are only shown
	go run ./bench/guard

.PHONY: links
links: $(NODE) ## do the relative links and anchors in all pages exist? (offline)
	@$(MARKDOWN) | xargs tools/node_modules/.bin/remark --rc-path tools/package.json --no-stdout --frail --quiet

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s)
	@scripts/fuzz $(FUZZTIME)

.PHONY: bench
bench: build ## load generators and peers; prints the table of docs/numbers.md
	go run ./bench

bench-p%: FORCE ## one figure of the table: make bench-p3
	go run ./bench -only P$*

.PHONY: bench-ingest
bench-ingest: ## sync events beside the peers of bench/peers (P1, P2)
	go run ./bench -only P1,P2

.PHONY: bench-tasks
bench-tasks: ## tasks beside BullMQ and socket.io (P3, P4)
	go run ./bench -only P3,P4

.PHONY: bench-queues
bench-queues: ## BullMQ, Asynq, River and Celery alone, with a job that does nothing
	go run ./bench -only Q

.PHONY: bench-growth
bench-growth: $(FERRETDB) ## curves over backlog, workers, watchers, servers, payload and devices: docs/images/growth-*.svg
	go run ./bench -only growth -out bench/results/growth -images docs/images

SOAK ?= 60m
.PHONY: soak
soak: ## mixed load with faults for SOAK (60m): does anything grow or get slower? bench/results/soak
	go run ./bench -only soak -soak $(SOAK) -out bench/results/soak

##@ Work

.PHONY: guard-baseline
guard-baseline: ## write bench/guard/baseline.txt, at a release, on a quiet machine
	go run ./bench/guard -update

.PHONY: setup
setup: ## install what the tests need: Debian packages, the linter, the link check, a MongoDB
	@scripts/setup
	@$(MAKE) --silent $(GOLANGCI) $(NODE) $(WEBNODE) $(FERRETDB)

.PHONY: fmt
fmt: $(WEBNODE) ## format the Go code and the web client
	$(GOFILES) | xargs gofmt -s -w
	npm run --prefix web --silent fmt

.PHONY: generate
generate: $(WEBNODE) ## write docs/openapi.json and the types of the web client, tidy go.mod
	go mod tidy
	go run ./cmd/server openapi > $(OPENAPI).new && mv $(OPENAPI).new $(OPENAPI)
	npm run --prefix web --silent types

.PHONY: pictures
pictures: test-browser ## the screenshots of the README, as the browser tests take them
	cd web/screenshots && cp $(PICTURES:%=%.png) ../../docs/images/

.PHONY: clean
clean: ## remove what was built or left by a demo; tools and caches stay
	rm -rf bin dist .demo coverage.out web/screenshots web/test-results
	git clean -fdXq web/dist

$(GOLANGCI): tools/go.mod tools/go.sum
	@echo 'building golangci-lint (minutes, once)'
	go -C tools build -trimpath -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

$(FERRETDB): scripts/ferretdb tools/ferretdb/go.mod tools/ferretdb/go.sum tools/ferretdb/main.go
	@echo 'building FerretDB (a minute, once)'
	scripts/ferretdb $@

$(NODE): tools/package.json tools/package-lock.json
	npm ci --prefix tools --no-audit --no-fund --loglevel=error
	@touch $@

$(PYTHON): clients/python/requirements.txt clients/python/pyproject.toml
	python3 -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	$(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable clients/python
	@touch $@

$(WEBNODE): web/package.json web/package-lock.json
	PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --prefix web --no-audit --no-fund --loglevel=error
	@touch $@

FORCE:
