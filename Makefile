# People and CI run the same targets. `make help` lists them.
# Needs Go, make, git and bash. Everything else is a Go module, pinned under hack/.

SHELL       := /usr/bin/env bash -o pipefail -e
.DEFAULT_GOAL := help

TOOL        := go tool -modfile=hack/tools/go.mod
# The linter's cache contains file paths, so each checkout has its own cache.
LINT        := GOLANGCI_LINT_CACHE=$(CURDIR)/bin/lint-cache go tool -modfile=hack/golangci-lint/go.mod golangci-lint
IMAGE       ?= scim-operator:dev

# The race detector needs cgo and so a C compiler. Without one, the tests run without the detector.
RACE        := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)
# Packages that share memory between goroutines run with the detector. The others are pure or drive other processes.
# test/faults runs without it: it simulates thousands of days on a fake clock and is about faults, not about races. So
# do the two that run the contract suite on a whole portal: its database is Go code, and ten times as slow with it.
CONCURRENT   = $(shell go list ./controllers/... ./internal/gateway/... ./internal/kernel/... ./internal/operator/... ./internal/scim/... \
	./test/conformance/... ./test/framework/... ./test/integration/stories | grep -vE '/(portalclient/rest|framework/fakeportal)$$')
TEST_TIMEOUT ?= 40m
FUZZ_TIME   ?= 20s
DURATION    ?= 10m

##@ Try it

.PHONY: run
run: control-plane ## Start everything on this machine: API server, portal, webhook, manager (Ctrl-C stops)
	@go build -buildvcs=false -o bin/ ./hack/run ./cmd/kubectl-scim
	@exec bin/run $(ARGS)

.PHONY: demo
demo: ## Replay a small company's day against a running `make run`
	@go run ./hack/demo $(ARGS)

.PHONY: control-plane
control-plane: ## Find, download or build kube-apiserver, etcd and kubectl (bin/k8s)
	@go run ./hack/assets

.PHONY: kube-controller-manager
kube-controller-manager: ## Find or build kube-controller-manager, which some tests need (bin/k8s)
	@go run ./hack/assets --controllers

.PHONY: test-programs
test-programs: ## Install Chromium, PostgreSQL, a SAML provider and accessibility checks, which some tests need
	@hack/install-test-programs

##@ Develop

.PHONY: build
build: ## Build every program into bin/
	@mkdir -p bin
	go build -o bin/ ./cmd/...

.PHONY: generate
generate: ## Generate code: deep copies, the portal's API
	$(TOOL) controller-gen object paths=./api/v1alpha1/... output:object:dir=api/v1alpha1
	go generate ./...

.PHONY: manifests
manifests: ## Generate the CRDs from api/
	$(TOOL) controller-gen crd paths=./api/v1alpha1/... output:crd:dir=config/crd/bases

.PHONY: fmt
fmt: ## Format the code
	$(LINT) fmt ./...

.PHONY: clean
clean: ## Remove built files (bin/k8s stays: it is slow to build) and the data of `make run`
	rm -rf .run dist
	find bin -mindepth 1 -maxdepth 1 ! -name k8s -exec rm -rf {} + 2>/dev/null || true

##@ Check

.PHONY: test
test: control-plane kube-controller-manager test-programs ## Run every test, on a real API server where one is needed
	$(if $(RACE),,@echo "no C compiler: the tests run without the race detector")
	go test $(RACE) -timeout $(TEST_TIMEOUT) $(CONCURRENT)
	go list ./... | grep -vxF "$$(printf '%s\n' $(CONCURRENT))" | xargs go test -timeout $(TEST_TIMEOUT)

.PHONY: e2e
e2e: control-plane kube-controller-manager ## Run the stories on the built programs
	go test -count=1 -timeout $(TEST_TIMEOUT) -v ./test/e2e/...

.PHONY: histories
histories: control-plane ## Kill programs during pushes for DURATION and check that no write is lost or applied twice (SEED=n repeats the choices)
	HISTORIES_DURATION=$(DURATION) HISTORIES_SEED=$(SEED) go test -count=1 -timeout 24h -v -run '^TestHistories$$' ./test/e2e

.PHONY: lint
lint: ## Lint the Go code
	@go run ./hack/language
	$(LINT) run --allow-parallel-runners ./...

.PHONY: floor-plan
floor-plan: ## Write the import rules into ARCHITECTURE.md
	@go test ./test/architecture -run TestFloorPlan -update

.PHONY: verify
verify: ## Check that generated files, formatting and go.mod are current
	@hack/verify

.PHONY: bench
bench: control-plane ## Compare the webhook with client-go, net/http and other SCIM servers; writes docs/benchmarks.md (ARGS=--help)
	@go build -buildvcs=false -o bin/bench ./test/bench/webhook
	@exec bin/bench $(ARGS)

.PHONY: bench-manager
bench-manager: control-plane ## Measure restart, pushes, a group, a role change and arrivals at the manager; writes docs/benchmarks-manager.md (ARGS=--help)
	@go build -buildvcs=false -o bin/bench-manager ./test/bench/manager
	@exec bin/bench-manager $(ARGS)

.PHONY: microbench
microbench: control-plane ## Run the benchmarks of single packages (`go test -bench`)
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: screenshots
screenshots: test-programs ## Make the screenshots in docs/screenshots again, in Chromium
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	PORTAL_SCREENSHOTS=$$folder go test -count=1 -run '^TestInBrowser$$/^EveryPage$$' ./internal/portal/web; \
	for file in docs/screenshots/*.png; do cp "$$folder/$$(basename "$$file")" "$$file"; done

.PHONY: fuzz
fuzz: ## Run every fuzz test for FUZZ_TIME each
	@FUZZ_TIME=$(FUZZ_TIME) hack/fuzz

##@ Ship

.PHONY: dist
dist: ## Write the manifests of both layouts into dist/
	@mkdir -p dist
	$(TOOL) kustomize build config/default > dist/default.yaml
	$(TOOL) kustomize build config/overlays/separate > dist/separate.yaml

.PHONY: image
image: ## Build the container image (IMAGE=name:tag)
	docker build --build-arg VERSION=$$(git describe --tags --always --dirty) -t $(IMAGE) .

##@ Help

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-zA-Z0-9_-]+:.*## / {printf "  make %-24s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
