# What people and CI run. CI runs `make test` and nothing else.

GO      ?= go
RELEASE ?=
DEMO    ?=
BENCH   ?= --clients 1,8,64 --duration 5s

LDFLAGS  = -s -w $(if $(RELEASE),-X github.com/reeve-ai/reeve/internal/cli.release=$(RELEASE))
MAX_MB   = 50

# Packages whose goroutines meet: they run under the race detector as well.
RACE = ./internal/session/... ./internal/turn/... ./internal/thread ./internal/webhook \
       ./internal/egress/... ./internal/bus/... \
       ./internal/sandbox ./internal/sandbox/guest ./internal/sandbox/host ./internal/app/...

# Tests that do the same dozens of times, each time cut off at another place: once, without it, is enough.
RACE_SKIP = Survives?ACut

# Of the store's promises, those where goroutines meet: SQLite in Go is slow under the race detector.
RACE_PROMISES = KeepsThePromises(OfCaptures)?/(Parallel|Tx|Lease|Turn|parallel|reads_see)

# The linter is a module of its own, and is built when it is first used.
LINT = $(GO) tool -modfile=tools/go.mod golangci-lint

# Steps share a build cache and two cores: one after the other is quicker, and its output can be read.
.NOTPARALLEL:

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

.PHONY: build
build: ## The binary, in bin/reeve
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/reeve ./cmd/reeve

.PHONY: run
run: build ## A server on port 8000, data in ./reeve-data
	./bin/reeve serve

.PHONY: demo
demo: build ## An agent doing a task; DEMO='your task' for another one
	./bin/reeve demo $(DEMO)

.PHONY: bench
bench: build ## The benchmarks of docs/performance.md; BENCH='--clients 1' for others
	./bin/reeve bench turns $(BENCH)
	./bin/reeve bench sessions $(BENCH)
	./bin/reeve bench otas $(BENCH)

# The order is that of cost, but for the tests: their closing lines come last.
.PHONY: test
test: prepare format vet lint-if-possible build size smoke race ## Everything that CI runs; installs what is missing
	$(GO) test -timeout 10m ./...

.PHONY: compat
compat: ## The official clients against this server; writes docs/compatibility.md
	$(GO) test -count=1 ./compat -update

.PHONY: check
check: format vet lint ## What needs no test run
	$(GO) test ./internal/archtest ./internal/config

.PHONY: prepare
prepare:
	@tools/prepare.sh

.PHONY: format
format:
	@changed=$$(gofmt -l cmd internal compat); if [ -n "$$changed" ]; then echo "gofmt would change:"; echo "$$changed"; exit 1; fi

.PHONY: vet
vet:
	$(GO) vet ./...

.PHONY: lint
lint: ## golangci-lint, at the version in tools/go.mod
	$(LINT) run

# Where the linter's module cannot be fetched, `make test` says so and goes on: internal/archtest keeps
# the rule that matters most, the directions of imports.
.PHONY: lint-if-possible
lint-if-possible:
	@if timeout 420 $(LINT) version >/dev/null 2>&1; then echo "$(LINT) run"; $(LINT) run; \
	else echo "lint: skipped, golangci-lint cannot be built here (make lint shows why)"; fi

.PHONY: fmt
fmt: ## Format the code
	$(GO) tool -modfile=tools/go.mod gofumpt -w cmd internal compat

.PHONY: size
size: build
	@bytes=$$(wc -c < bin/reeve); \
	echo "bin/reeve: $$((bytes / 1000000)) MB of at most $(MAX_MB)"; \
	test $$bytes -le $$(($(MAX_MB) * 1000000))

# The real binary, the real sandbox, from sign-up to the final answer.
.PHONY: smoke
smoke: build
	@out=$$(mktemp); \
	if ./bin/reeve demo --plain --demo-delay 0s > $$out 2>&1 && grep -q '^  done  ' $$out && grep -q 'Where to go next' $$out; \
	then echo "smoke: reeve demo ran to its end"; rm -f $$out; \
	else echo "smoke: reeve demo failed:"; cat $$out; rm -f $$out; exit 1; fi

.PHONY: race
race: ## The packages with goroutines, under the race detector
	@if [ "$$($(GO) env CGO_ENABLED)" = 1 ] && command -v "$$($(GO) env CC)" >/dev/null; then \
		set -x; $(GO) test -race -timeout 10m -skip '$(RACE_SKIP)' $(RACE) && \
		$(GO) test -race -timeout 10m -skip KeepsThePromises ./internal/store && \
		$(GO) test -race -timeout 10m -run '$(RACE_PROMISES)' ./internal/store; \
	else echo "race: skipped, it needs a C compiler"; fi
