FUZZTIME ?= 10s
DATA     ?=
SEED     ?= 1

# What a binary says of itself. The date is that of the commit, in UTC: the same
# commit gives the same bytes, wherever and whenever it is built.
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT   ?= $(shell git rev-parse HEAD 2>/dev/null)
DATE     ?= $(shell TZ=UTC0 git show -s --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd HEAD 2>/dev/null)

.PHONY: all build test race slow slow-in-ci size soak cluster sdk-test servers-test batch-memory chaos browser screenshots page-size lint fmt fuzz bench bench-allocs cover data-test deploy-check examples-check release reproducible ci clean

all: build test lint

build:
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)" -o bin/pelton ./cmd/pelton

test:
	go test ./...

race:
	go test -race ./...

# What takes minutes: limits of the fleet over a minute, an outage of 20 s, an
# upstream whose capacity changes, a cluster that loses a leader, and the chaos
# harness in its short form. They print the figures they find.
SLOW     = FleetHolds|FullDisk|LongOutage|AdaptiveConcurrency|Soak|Upgrade|Cluster/^LeaderKilled$$$$|Chaos|UnsafeBuild|Poison
SLOW_RUN ?= $(SLOW)|Size
slow:
	go test -tags slow -p 3 -timeout 15m -v -run '$(SLOW_RUN)' ./worker ./cmd/pelton ./internal/dev/chaos

# What of it CI runs: not the 10,000 jobs and the reader that stops for a minute,
# for want of time.
slow-in-ci:
	@echo '$(SLOW)'

# Everything broken on a schedule, and audited: at least 200 faults over at least
# 100,000 requests, in some ten minutes; before that DEATHS runs of a minute in
# which workers are killed from outside and by requests. SEED=n draws others.
DEATHS ?= 6
chaos:
	go run ./internal/dev/chaos/cmd -seed $(SEED) -deaths $(DEATHS)

# A mix of jobs for 10 minutes (SOAK=2m shortens it), and a table of memory,
# goroutines, files, connections and disk that must not grow.
SOAK ?= 10m
soak:
	SOAK=$(SOAK) go test -tags soak -timeout 120m -v -run 'Soak' ./worker

# A job of 1,000,000 requests beside one of 100,000: memory, time and disk of
# every process. Some five minutes; Linux. SIZE=100000 makes it quick.
size:
	internal/benchmark/size/run.sh

# A job on a cluster of three, one scenario of trouble after the other: some
# five minutes, and a table of what each cost.
cluster:
	go test -tags cluster -timeout 15m -v -run 'Cluster' ./worker

# OpenAI's SDKs as they come from PyPI and npm against the batch API: Python 3
# with venv and Node 20 are needed, and the registries reached.
sdk-test:
	go test -tags sdk -timeout 15m -v -run 'SDK' ./internal/gateway ./internal/faultyllm ./router/anthropic

# Real servers as upstreams, from PyPI and npm at pinned versions: LiteLLM's proxy,
# Portkey's gateway, uvicorn, gunicorn, Node. Python 3 with venv and Node 20 are
# needed; some minutes. SERVERS_DIR=FOLDER keeps what was installed.
servers-test:
	go test -tags servers -count=1 -timeout 30m -v ./internal/dev/servers

# 200 MB up and their results down, and what memory the processes take for it.
batch-memory:
	go test -tags slow -timeout 15m -v -run 'Memory' ./internal/gateway

# The page in headless Chromium, which it installs where there is none: needs
# Node.js with npm, and apt-get. `make screenshots` also renews those in docs.
browser:
	.ci/browser

screenshots:
	.ci/browser docs/images

# How long each view of the page takes with 10,000 jobs and a job of 1,000,000
# requests, and what memory: a table. Some two minutes.
page-size:
	go test -tags pagesize -timeout 15m -v -run 'PageSize' ./internal/web

lint:
	.ci/lint

fmt:
	.ci/lint fmt

# Every fuzz target for a moment; FUZZTIME=5m looks harder.
fuzz:
	@set -e; for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' $$dir/*_test.go); do \
			echo "== $$dir $$target"; \
			go test $$dir -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME); \
		done; \
	done

bench:
	go test -run '^$$' -bench . -benchmem ./...

# What each stage of a request allocates, against .ci/allocs. UPDATE=1 writes
# the file.
bench-allocs:
	go run ./internal/dev/allocs $(if $(UPDATE),-update) .ci/allocs

cover:
	go test -coverpkg ./... -coverprofile cover.out ./...
	go tool cover -func cover.out | tail -1

# Real files through run and through a service: those in DATA. Without it the
# tests take a few lines of their own.
data-test:
	PELTON_TEST_DATA=$(abspath $(DATA)) go test ./cmd/pelton -run Data -v

# All of it, as CI does.
ci:
	.ci/run

# What is in deploy, held to the programs that read it: Compose, Kustomize and
# Kubernetes, KEDA, Prometheus, systemd. A module of its own: minutes to build once.
deploy-check:
	cd deploy/check && go test -mod=mod -count=1 -v ./...

# The clients of examples, each against a worker: Go, the micro service, and
# JavaScript and Python with what npm and PyPI have.
examples-check:
	go test -count=1 -tags examples -timeout 10m -v ./examples/check

# Archives for linux, macOS and Windows in dist, with checksums and an SBOM.
release:
	cd deploy/release && go run . -version "$(VERSION)" -commit "$(COMMIT)" -date "$(DATE)" -out dist

# Two builds of one commit in different folders are the same bytes.
reproducible:
	cd deploy/release && go test -count=1 -timeout 20m -v .

clean:
	rm -rf bin dist cover.out
