# What people do with this repository. `make help` lists it.
CLUSTER ?= embedded
SERVICE_TESTS = $(filter-out control_plane e2e,$(basename $(notdir $(wildcard tests/tests/*))))
TARGET = $(or $(CARGO_TARGET_DIR),target)
export CARGO_TERM_COLOR ?= auto
# Every cargo command selects the whole workspace and then names targets. Cargo resolves the features of dependencies for the
# selected packages: with another selection it would compile most of them again.
BUILD = cargo build --locked --workspace
TEST = cargo test --locked --workspace

.DEFAULT_GOAL := help
include tests/cluster/cluster.mk
.PHONY: help run test lint lint-fast audit unit service modules documents control-plane e2e fuzz coverage bench bench-operator images generate clean

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## Build the release binaries and start the whole shop (Ctrl-C stops it); on Kubernetes with CLUSTER=local, kind or existing
ifeq ($(CLUSTER),embedded)
	@echo "Building the release binaries; the first time takes some minutes."
	$(BUILD) --release --bin catalog --bin catalogctl
	@exec $(TARGET)/release/catalogctl dev
else
	@$(MAKE) --no-print-directory run-on-cluster
endif

test: lint unit service documents control-plane ## Lint, unit, service and control-plane tests on real servers, and the commands of the documents

lint: lint-fast ## lint-fast, clippy with warnings denied, cargo deny (STRICT=yes: unchecked advisories are an error)
	cargo clippy --locked --workspace --all-targets --features catalog-tests/e2e -- --deny warnings
	tests/lint/dependencies

lint-fast: ## The checks that compile nothing: format, shellcheck, links, commands and words of the documents
	cargo fmt --all --check
	tests/lint/shell
	tests/lint/documents

audit: ## cargo deny on all dependencies; an advisory database that cannot be fetched is an error
	STRICT=yes tests/lint/dependencies

unit: ## Tests of one program or module alone
	$(TEST) --bins --lib

service: ## Tests of the whole shop on PostgreSQL, NATS and SMTP servers that the suite starts itself
	$(BUILD) --bin catalog --bin catalogctl --bin catalog-operator
	$(TEST) $(addprefix --test ,$(SERVICE_TESTS)) -- --test-threads 4

modules: ## Print which modules of each program use which, as flowcharts for docs/architecture.md
	@$(BUILD) --quiet --bin modules
	@$(TARGET)/debug/modules

documents: ## Run the commands of README.md and docs/getting-started.md against a shop, and compare what they print
	$(BUILD) --bin catalog --bin catalogctl
	tests/documents/run $(TARGET)/debug/catalogctl

control-plane: ## What the operator promises, on a real etcd and kube-apiserver (built once, 5 minutes; KUBEBUILDER_ASSETS spares that)
	tests/cluster/build etcd kube-apiserver
	$(BUILD) --bin catalog-operator
	$(TEST) --test control_plane -- --test-threads 4 --show-output

e2e: ## The operator and a shop on a real cluster of this machine (Linux, root): installed, used, killed, scaled, deleted
	@[ "$$(id -u)" = 0 ] || { echo "make e2e needs root: it starts a cluster, and asks its container runtime what runs." >&2; exit 1; }
	@tests/cluster/local/require-no-cluster
	@tests/cluster/run check local
	@$(MAKE) --no-print-directory images
	$(TEST) --features catalog-tests/e2e --test e2e --no-run
	@status=0; \
		{ tests/cluster/run local && \
			$(TEST) --features catalog-tests/e2e --test e2e -- --nocapture; } || \
			{ status=$$?; tests/cluster/print-diagnostics; }; \
		$(MAKE) --no-print-directory cluster-down CLUSTER=local; exit $$status

fuzz: ## Schemathesis against every operation of the OpenAPI document, as anyone, customer and admin (4 minutes, not in `make test`: needs Python 3.11 and PyPI)
	$(BUILD) --release --bin catalog --bin catalogctl
	tests/fuzz/run $(TARGET)/release/catalogctl

coverage: ## Line coverage of `make test` (adds rustup's llvm-tools if they are missing)
	tests/cluster/build etcd kube-apiserver
	tests/coverage.sh

bench: ## Ratios to the limits of this machine: cached and uncached reads, orders, a sweep of a million carts, and orders beside expensive lists
	$(BUILD) --release --bin catalog --bin catalogctl --bin bench
	$(TARGET)/release/bench reads
	$(TARGET)/release/bench orders
	$(TARGET)/release/bench starvation

images: ## Container images without Docker: target/images/*.tar, for `ctr images import` and `docker load`
	$(BUILD) --release --bin catalog --bin catalogctl --bin catalog-operator
	tests/images/make --programs $(TARGET)/release --out target/images

bench-operator: ## What the operator costs with one Catalog and with a thousand: memory, writes at rest, calls, time
	tests/cluster/build etcd kube-apiserver
	$(BUILD) --release --bin catalog --bin catalog-operator --bin bench-operator
	$(TARGET)/release/bench-operator

generate: ## Renew the generated files: .sqlx, api/openapi.json, crds/, operator/tests/golden/, docs/configuration.md
	tests/generate-queries.sh
	$(BUILD) --quiet --bin catalog --bin catalogctl --bin catalog-operator
	$(TARGET)/debug/catalog openapi > api/openapi.json.new && mv api/openapi.json.new api/openapi.json
	$(TARGET)/debug/catalog-operator crd > crds/catalog.yaml.new && mv crds/catalog.yaml.new crds/catalog.yaml
	tests/generate-configuration.sh $(TARGET)/debug > docs/configuration.md.new && mv docs/configuration.md.new docs/configuration.md
	RENEW_GOLDEN=1 $(TEST) --quiet --lib golden

clean: ## Remove what was built (the shop's data stays: `make run` says where it is)
	cargo clean
