# `make help` lists the targets.
CLUSTER ?= embedded
SERVICE_TESTS = $(filter-out control_plane e2e,$(basename $(notdir $(wildcard tests/tests/*))))
TARGET = $(or $(CARGO_TARGET_DIR),target)
export CARGO_TERM_COLOR ?= auto
# Cargo resolves the features of dependencies for the selected packages, so every command selects the whole workspace.
# With different selections, cargo would compile most dependencies again.
BUILD = cargo build --locked --workspace
TEST = cargo test --locked --workspace

.DEFAULT_GOAL := help
include deploy/cluster/cluster.mk
.PHONY: help run test lint lint-fast audit unit service modules documents control-plane e2e fuzz clients coverage bench bench-operator images generate clean

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

test: lint unit service documents control-plane ## lint, unit, service, documents and control-plane

lint: lint-fast ## lint-fast, clippy and rustdoc without warnings, cargo shear, cargo deny (STRICT=yes: fail if advisories cannot be checked)
	cargo clippy --locked --workspace --all-targets --features catalog-tests/e2e -- --deny warnings
	RUSTDOCFLAGS="--deny warnings --allow rustdoc::private_intra_doc_links" cargo doc --locked --workspace --no-deps --document-private-items
	tests/lint/dependencies

lint-fast: ## Checks that compile nothing: format, shellcheck, and links, commands and words of documents
	cargo fmt --all --check
	tests/lint/shell
	tests/lint/documents

audit: ## cargo deny on all dependencies; fails if the advisory database cannot be fetched
	STRICT=yes tests/lint/dependencies

unit: ## Unit tests
	$(TEST) --bins --lib

service: ## Tests of the whole shop on PostgreSQL, NATS and SMTP servers that the suite starts
	$(BUILD) --bin catalog --bin catalogctl --bin catalog-operator
	$(TEST) $(addprefix --test ,$(SERVICE_TESTS)) -- --test-threads 4

modules: ## Print the module dependencies of each program, as flowcharts for docs/architecture.md
	@$(BUILD) --quiet --bin modules
	@$(TARGET)/debug/modules

documents: ## Run the commands of README.md and docs/getting-started.md against a shop, and compare what they print
	$(BUILD) --bin catalog --bin catalogctl
	tests/documents/run $(TARGET)/debug/catalogctl

control-plane: ## Tests of the operator on a real etcd and kube-apiserver (built once in 5 minutes, or taken from KUBEBUILDER_ASSETS)
	deploy/cluster/build etcd kube-apiserver
	$(BUILD) --bin catalog-operator
	$(TEST) --test control_plane -- --test-threads 4 --show-output

e2e: ## Tests of the operator and a shop on a real cluster on this machine (Linux, root)
	@[ "$$(id -u)" = 0 ] || { echo "make e2e needs root to start a cluster." >&2; exit 1; }
	@deploy/cluster/local/require-no-cluster
	@deploy/cluster/run check local
	@$(MAKE) --no-print-directory images
	$(TEST) --features catalog-tests/e2e --test e2e --no-run
	@status=0; \
		{ deploy/cluster/run local && \
			$(TEST) --features catalog-tests/e2e --test e2e -- --nocapture; } || \
			{ status=$$?; deploy/cluster/print-diagnostics; }; \
		$(MAKE) --no-print-directory cluster-down CLUSTER=local; exit $$status

fuzz: ## Schemathesis on every operation of the API, as anonymous client, customer and admin (4 minutes; needs Python 3.11 and PyPI)
	$(BUILD) --release --bin catalog --bin catalogctl
	tests/fuzz/run $(TARGET)/release/catalogctl

clients: ## Generate TypeScript and Python clients of the OpenAPI document, check their types and use them (1 minute, not in `make test`: needs Node.js 18 with npm, Python 3.11, PyPI)
	$(BUILD) --bin catalog --bin catalogctl
	tests/clients/run $(TARGET)/debug/catalogctl

coverage: ## Line coverage of `make test` (installs rustup's llvm-tools if they are missing)
	deploy/cluster/build etcd kube-apiserver
	tests/coverage.sh

bench: ## Benchmarks of reads, orders, cart expiry, and orders during expensive lists, as ratios to the limits of this machine
	$(BUILD) --release --bin catalog --bin catalogctl --bin bench
	$(TARGET)/release/bench reads
	$(TARGET)/release/bench orders
	$(TARGET)/release/bench starvation

images: ## Container images without Docker: target/images/*.tar, for `ctr images import` and `docker load`
	$(BUILD) --release --bin catalog --bin catalogctl --bin catalog-operator
	deploy/images/make --programs $(TARGET)/release --out target/images

bench-operator: ## Benchmark of the operator with one Catalog and with a thousand: memory, writes at rest, API calls, time
	deploy/cluster/build etcd kube-apiserver
	$(BUILD) --release --bin catalog --bin catalog-operator --bin bench-operator
	$(TARGET)/release/bench-operator

generate: ## Update the generated files: .sqlx, api/openapi.json, crds/, operator/tests/golden/, docs/configuration.md
	tests/generate-queries.sh
	$(BUILD) --quiet --bin catalog --bin catalogctl --bin catalog-operator
	$(TARGET)/debug/catalog openapi > api/openapi.json.new && mv api/openapi.json.new api/openapi.json
	$(TARGET)/debug/catalog-operator crd > crds/catalog.yaml.new && mv crds/catalog.yaml.new crds/catalog.yaml
	tests/generate-configuration.sh $(TARGET)/debug > docs/configuration.md.new && mv docs/configuration.md.new docs/configuration.md
	RENEW_GOLDEN=1 $(TEST) --quiet --lib golden

clean: ## Remove build output (keeps the shop's data; `make run` prints its directory)
	cargo clean
