# One entry for every habit of this repository. `make` alone says what there is.

GO       ?= go
BIN      := bin
OUT      := out
SCENARIO ?= scenarios/guestbook.yaml
FUZZTIME ?= 20s
COUNT    ?= 3
DECISIONS ?= 5000

# Outside a git checkout the version stays what the source says.
VERSION  := $(shell git describe --always --dirty --tags 2>/dev/null)
LDFLAGS  := $(if $(VERSION),-X main.version=$(VERSION))

.DEFAULT_GOAL := help
.PHONY: help build images kubectl helm demo test upstream conformance vm lint race bench fuzz check clean

# Kubernetes' own programs, of the versions in tools/go.mod (k8s.io/kubectl v0.N is
# kubectl v1.N). Without its version kubectl cannot say it, and fails.
KUBEVERSION := $(shell sed -n 's|.*k8s.io/kubectl v0\.||p' tools/go.mod)
KUBEFLAGS   := -s -w $(foreach x,gitVersion=v1.$(KUBEVERSION) gitMajor=1 gitMinor=$(basename $(KUBEVERSION)),-X k8s.io/component-base/version.$x)
HELMVERSION := $(shell sed -n 's|.*helm.sh/helm/v4 ||p' tools/go.mod)
HELMFLAGS   := -s -w -X helm.sh/helm/v4/internal/version.version=$(HELMVERSION)

help: ## say what make can do
	@echo 'Usage: make TARGET [NAME=value]'
	@echo
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS='	' read -r t d; do printf '  %-11s %s\n' "$$t" "$$d"; done
	@echo
	@echo 'Names: SCENARIO=FILE for demo, COUNT=N for bench, DECISIONS=N for upstream, FUZZTIME=20s for fuzz.'

build: seatrial ## compile bin/seatrial, and the programs of the real world beside it
	$(GO) build -trimpath -ldflags '-s -w' -o $(BIN)/seatrial-agent ./cmd/seatrial-agent
	CGO_ENABLED=1 $(GO) build -trimpath -ldflags '-s -w' -o $(BIN)/seatrial-runtime ./cmd/seatrial-runtime
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $(BIN)/seatrial-standin ./live/demo/standin

.PHONY: seatrial
seatrial:
	@mkdir -p $(BIN)
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/seatrial ./cmd/seatrial

images: ## build the demo images into out/images, an OCI layout
	@mkdir -p $(OUT)
	$(GO) run ./live/demo/images $(OUT)/images

kubectl: $(BIN)/kubectl ## compile bin/kubectl, the real one (a few minutes the first time)

helm: $(BIN)/helm ## compile bin/helm, the real one (likewise)

$(BIN)/kubectl: tools/go.mod tools/go.sum tools/kubectl/main.go
	@mkdir -p $(BIN)
	cd tools && $(GO) build -trimpath -ldflags '$(KUBEFLAGS)' -o ../$@ ./kubectl && touch ../$@

# After kubectl, with which it has most packages in common: two such compilations at
# once want much memory.
$(BIN)/helm: tools/go.mod tools/go.sum tools/helm/main.go | $(BIN)/kubectl
	@mkdir -p $(BIN)
	cd tools && $(GO) build -trimpath -ldflags '$(HELMFLAGS)' -o ../$@ ./helm && touch ../$@

demo: seatrial ## run one scenario (SCENARIO=scenarios/guestbook.yaml) and say where its report is
	@name=$$(basename $(SCENARIO) .yaml); status=0; \
	$(BIN)/seatrial run $(SCENARIO) --out $(OUT)/$$name || status=$$?; \
	if [ -f $(OUT)/$$name/report.html ]; then echo; echo "The report is $(OUT)/$$name/report.html; it opens in any browser, without a network."; fi; \
	exit $$status

test: kubectl helm hosttools ## run every test
	$(GO) test ./...
	@[ "$$(id -u)" = 0 ] || echo 'NOT RUN, as they need root: the tests of live/ and e2e/real, which make hosts, containers and networks'

# What the real world drives, from Debian's packages. Without root its tests are not run.
.PHONY: hosttools
hosttools:
	@[ "$$(id -u)" != 0 ] || { command -v iptables-restore && command -v nft && command -v conntrack; } >/dev/null || \
	{ command -v apt-get >/dev/null && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y iptables nftables conntrack >/dev/null; } || \
	echo 'NOT INSTALLED: iptables, nftables and conntrack; tests that need them will say so'

upstream: ## compare DECISIONS=5000 decisions with those of kube-scheduler (bench/upstream; minutes the first time)
	cd bench/upstream && $(GO) run . fidelity --decisions $(DECISIONS)

conformance: ## Kubernetes' own conformance tests in a lab, as root (bench/conformance; half an hour the first time)
	cd bench/conformance && $(GO) run . --write

vm: build images kubectl ## a lab on Debian's kernel with control groups v2, in a virtual machine, as root (e2e/vm)
	e2e/vm/run.sh

lint: ## formatting, vet, determinism and import rules
	@echo '== gofmt'; bad=$$(gofmt -l .); \
	if [ -n "$$bad" ]; then echo "not formatted; run gofmt -w on:"; echo "$$bad"; exit 1; fi
	@echo '== go vet'; $(GO) vet ./...
	@echo '== detlint (internal/detlint says what it forbids)'
	@mkdir -p $(BIN); $(GO) build -o $(BIN)/detlint ./internal/detlint/cmd/detlint
	@$(GO) vet -vettool=$(BIN)/detlint ./...
	@$(BIN)/detlint escapes
	@echo '== arch (imports, names, lengths)'; $(GO) test -count=1 ./internal/arch

race: ## the tests that run goroutines, under the race detector
	$(GO) test -race -short ./sim/...

bench: ## the benchmarks of the Go packages, COUNT times each
	$(GO) test -run '^$$' -bench . -benchmem -count $(COUNT) ./...

fuzz: ## every fuzz target for FUZZTIME each
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p 2>/dev/null | grep '^Fuzz' || true); do \
	    echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
	  done; \
	done

check: lint test race ## lint, test and race: what a change must pass

clean: ## remove what make has made
	rm -rf $(BIN) $(OUT)
