# What a person does with this tree. `make` alone tells.

# The tools stand outside go.mod: what they need is none of the product's business.
LINT_VERSION := v2.15.0
VULN_VERSION := v1.9.0

GO        ?= go
TOOLS     := $(CURDIR)/.tools
LINT      := $(TOOLS)/golangci-lint-$(LINT_VERSION)
VULN      := $(TOOLS)/govulncheck-$(VULN_VERSION)
FUZZTIME  ?= 30s
SOAKTIME  ?= 10m
PKG       ?= ./...
JSON      ?=
ADDRESS   ?= localhost:8400
DATA      ?= .data

# Rooms where goroutines meet: they are tested once more under the race detector.
RACE := internal/store internal/keys internal/once internal/limit internal/password internal/fetch internal/web \
	internal/session internal/verify internal/follow internal/notary internal/deliver internal/issue internal/enact \
	internal/gateway internal/server internal/app internal/facts internal/decide gate

TESTSUM = $(GO) run ./scripts/testsum

.DEFAULT_GOAL := help
.PHONY: help demo build check static test test-run bench fuzz soak mutants fmt docs promises vuln deps npm clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build ## build and run Garde with a small bank: says where to go and what to try (ADDRESS, DATA)
	./bin/garde demo --listen $(ADDRESS) --data $(DATA)

build: ## build bin/garde
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/garde ./cmd/garde

check: static ## what a change must pass before it is pushed: format, vet, lint, quick tests, the house
	$(TESTSUM) "quick tests" $(GO) test -json -short $(PKG)

static: $(LINT)
	@unformatted=$$(gofmt -l .) && [ -z "$$unformatted" ] || { echo "gofmt has not seen:" $$unformatted "(make fmt)"; exit 1; }
	$(GO) vet ./...
	$(LINT) run ./...

test: deps static ## everything, on a fresh machine too: both engines, browser, races, fuzz corpora, real clients
	@status=0; $(MAKE) --no-print-directory test-run || status=$$?; $(GO) run ./scripts/pgstop; exit $$status

test-run:
	@GARDE_TEST_ALL=1 $(TESTSUM) \
		"all tests" $(GO) test -json -count=1 -timeout 15m ./... -- \
		"races" $(GO) test -json -count=1 -timeout 15m -race -short $$($(GO) list ./... | grep -E "/($$(echo $(RACE) | tr ' ' '|'))(/|$$)") -- \
		"real clients" sh interop/run.sh

deps: npm
	@scripts/debian.sh

npm:
	@command -v npm >/dev/null || scripts/debian.sh
	@cmp -s interop/package-lock.json interop/node_modules/.installed || { cd interop && npm ci --no-audit --no-fund --loglevel=error && cp package-lock.json node_modules/.installed; }

bench: ## a table of ratios, each figure beside its limit in the same run (JSON=FILE writes rows)
	$(GO) run ./bench $(if $(JSON),-json $(JSON))

fuzz: ## every fuzzer for a while (FUZZTIME, PKG)
	scripts/fuzz.sh $(FUZZTIME) $(PKG)

soak: ## the long tests, TestSoak... (SOAKTIME)
	GARDE_SOAK=$(SOAKTIME) $(GO) test -count=1 -timeout 0 -run '^TestSoak' -v $(PKG)

mutants: ## the house without each named step must turn a named test red
	GARDE_MUTANTS=1 $(GO) test -count=1 -timeout 0 -run '^TestMutants' -v $(PKG)

fmt: ## format all Go files
	gofmt -w .

docs: promises ## write the reference: recipe.md, node.md, cli.md, admin-openapi.json, recipe.schema.json
	$(GO) run ./scripts/docs

promises: ## write docs/promises.md and docs/standards.md from their lists
	$(GO) run ./scripts/promises

vuln: $(VULN) ## known holes in what we depend on (asks the Go vulnerability database)
	$(VULN) ./...

clean: ## remove what was built, but no data
	rm -rf bin .tools interop/node_modules

$(LINT):
	GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	@mv $(TOOLS)/golangci-lint $@

$(VULN):
	GOBIN=$(TOOLS) $(GO) install golang.org/x/vuln/cmd/govulncheck@$(VULN_VERSION)
	@mv $(TOOLS)/govulncheck $@
