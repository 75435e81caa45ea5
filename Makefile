# Build, test and run Kuule. `make help` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := build

BINARIES := kuule kuule-agent kuule-kiosk kuule-demo kuule-bench
TOOLS    := $(CURDIR)/.tools

GOLANGCI_VERSION := v2.15.0
GOLANGCI         := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)/golangci-lint

VAULTD        := $(TOOLS)/vaultd-1.13.1/vaultd
FACE          := $(CURDIR)/bin/face
MINIO_VERSION := v0.0.0-20260212201848-7aac2a2c5b7c
MINIO         := $(TOOLS)/minio-20260212/minio

# npm packages may hold Go files of their own.
GO_PACKAGES = $$(go list ./... | grep -v /node_modules/)

WEB_SOURCES := $(shell find web -path web/node_modules -prune -o -path web/dist -prune -o -type f -print 2>/dev/null)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## Build

.PHONY: build
build: web ## web pages and all binaries, into bin/
	CGO_ENABLED=0 go build -trimpath -o bin/ $(BINARIES:%=./cmd/%)

.PHONY: web
web: web/dist/index.html ## web pages, into web/dist

web/dist/index.html: web/node_modules/.installed $(WEB_SOURCES)
	npm --prefix web run build
	touch $@

web/node_modules/.installed: web/package-lock.json
	npm --prefix web ci --no-audit --no-fund
	touch $@

.PHONY: face-engine
face-engine: ## the reference engine that compares faces, into bin/face (fetches 160 MB with npm, once)
	.ci/face-engine $(TOOLS)/face-engine-1 $(FACE)

## Run

.PHONY: run
run: packages build face-engine ## the demonstration: everything on this machine, a link per persona
	exec bin/kuule-demo up

## Test

.PHONY: test
test: packages lint test-go test-postgres test-vault test-web test-browser rehearse ## everything that CI runs

.PHONY: packages
packages: ## Debian packages that tests and demonstration need
	.ci/packages

.PHONY: lint
lint: $(GOLANGCI) ## lint of the Go code
	CGO_ENABLED=0 $(GOLANGCI) run ./...

$(GOLANGCI):
	.ci/golangci-lint $(GOLANGCI_VERSION) $(@D)

.PHONY: test-go
test-go: web/node_modules/.installed ## unit and integration tests with the race detector; names what was skipped
	.ci/face-engine $(TOOLS)/face-engine-1 $(TOOLS)/face # not beside the binaries: the rehearsal goes without it
	KUULE_TEST_FACE=$(TOOLS)/face CGO_ENABLED=1 go test -json -race -timeout 15m $(GO_PACKAGES) | go run ./test/report
	go test -count=1 ./test/house # the test cache does not see new files

.PHONY: soak
soak: packages build ## the long forms of tests: hours; faults by the hundred, fuzzing, four-hour recordings
	KUULE_SOAK=1 CGO_ENABLED=1 go test -run 'TestSoak' -timeout 6h -v $(GO_PACKAGES)
	@for package in $$(grep -rl --include='*_test.go' 'func Fuzz' . | grep -v node_modules | xargs -n1 dirname | sort -u); do \
	  for target in $$(grep -rhoE --include='*_test.go' 'func Fuzz[A-Za-z0-9]*' $$package --max-count=50 | sed 's/func //' | sort -u); do \
	    grep -qE "func $$target\(" $$package/*_test.go || continue; \
	    go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$package; \
	  done; \
	done

# For each target. Inputs that find something new are not made smaller for long: it
# would take the time of finding more.
FUZZTIME ?= 60s

.PHONY: test-postgres
test-postgres: packages ## what keeps records, on a PostgreSQL server of its own instead of SQLite
	.ci/postgres go test -timeout 5m $$(go list -test -f '{{if .ForTest}}{{.ForTest}} {{join .Deps " "}}{{end}}' ./... | grep -w kuule/internal/store/storetest | cut -d' ' -f1 | grep -v kuule/internal/app | sort -u) ./internal/jobs

.PHONY: test-vault
test-vault: $(VAULTD) ## the keyring against a real Vault server on loopback, built once
	KUULE_TEST_VAULTD=$(VAULTD) go test -timeout 5m ./internal/keyring/vault

$(VAULTD): tools/vaultd/main.go tools/vaultd/go.mod tools/vaultd/go.sum
	cd tools/vaultd && CGO_ENABLED=0 nice -n 10 go build -trimpath -ldflags="-s -w" -o $@ .

.PHONY: test-s3
test-s3: $(MINIO) ## the blob store against a real MinIO server on loopback (builds it: up to 15 minutes, once)
	@folder=$$(mktemp -d); secret=$$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n'); \
	MINIO_ROOT_USER=kuule MINIO_ROOT_PASSWORD=$$secret $(MINIO) server --quiet --address 127.0.0.1:19008 $$folder & server=$$!; \
	trap 'kill $$server; wait $$server || true; rm -rf $$folder' EXIT; \
	for i in $$(seq 100); do (exec 3<>/dev/tcp/127.0.0.1/19008) 2>/dev/null && break; sleep 0.2; done; \
	export KUULE_TEST_S3=http://kuule:$$secret@127.0.0.1:19008; \
	go test -count=1 -timeout 5m ./internal/blob/s3 && go test -count=1 -timeout 5m -run RealService -v ./recorder

$(MINIO):
	GOBIN=$(@D) CGO_ENABLED=0 nice -n 19 go install -trimpath -ldflags="-s -w" github.com/minio/minio@$(MINIO_VERSION)

.PHONY: test-web
test-web: web/node_modules/.installed ## lint, types and unit tests of the pages
	npm --prefix web run lint
	npm --prefix web test

.PHONY: test-browser
test-browser: build ## journeys in Chromium
	npm --prefix web run journey

.PHONY: rehearse
rehearse: build ## one complete interview, with Go members and with three browsers; one in which parts go away under the pages; one whose server, with PostgreSQL, is killed; each way from the kiosk
	bin/kuule-demo rehearse --json --out .tmp/rehearse
	.ci/postgres bin/kuule-demo rehearse --crash --json --out .tmp/rehearse-crash
	bin/kuule-demo rehearse --browser --json --out .tmp/rehearse-browser
	bin/kuule-demo rehearse --browser --faults --json --out .tmp/rehearse-faults
	.ci/face-engine $(TOOLS)/face-engine-1 $(TOOLS)/face # not beside the binaries: the others go without it
	bin/kuule-demo rehearse --kiosk --faces $(TOOLS)/face --json --out .tmp/rehearse-kiosk

.PHONY: clean
clean: ## removes what was built
	rm -rf bin web/dist .tmp
