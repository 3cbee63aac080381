#!/usr/bin/env bash
# Line coverage of the whole suite: of its own tests and of every process it starts, killed ones included.
# Prints a table by file; target/coverage/html/index.html shows the lines.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$PWD/target/coverage
tools=$(rustc --print target-libdir)/../bin
[ -x "$tools/llvm-cov" ] || rustup component add llvm-tools

# Only the workspace's own crates are instrumented. Counters live in the file itself (%c, which needs
# them relocatable), so that kill -9 loses nothing; processes of one program share eight files (%8m).
mkdir -p "$target"
wrapper=$target/instrument
printf '#!/bin/sh\nexec "$@" -C instrument-coverage -C llvm-args=-runtime-counter-relocation\n' >"$wrapper"
chmod +x "$wrapper"
profiles=$(mktemp -d)
chmod a+rx "$profiles"
trap 'rm -rf "$profiles"' EXIT
export CARGO_TARGET_DIR=$target RUSTC_WORKSPACE_WRAPPER=$wrapper LLVM_PROFILE_FILE="$profiles/%8m%c.profraw"

cargo build --locked --workspace --bins
executables() { grep -o '"executable":"[^"]*"' | cut -d '"' -f 4; }
tests=$(cargo test --locked --workspace --bins --lib --tests --no-run --message-format json | executables | sort -u)
rm -f "$profiles"/* # of build scripts
# Coverage is of interest also when a test fails.
failed=0
cargo test --locked --workspace --bins --lib --no-fail-fast || failed=1
cargo test --locked --package catalog-tests --test '*' --no-fail-fast || failed=1

"$tools/llvm-profdata" merge --sparse "$profiles"/*.profraw --output "$target/coverage.profdata"
objects=()
for executable in "$target/debug/catalog" "$target/debug/catalog-operator" $tests; do
    objects+=(--object "$executable")
done
selection=(--instr-profile "$target/coverage.profdata" --ignore-filename-regex "(/\.cargo/|/rustc/|^$PWD/tests/|/tests\.rs$)" "${objects[@]}")
"$tools/llvm-cov" show "${selection[@]}" --format html --output-dir "$target/html" --show-instantiations=false
"$tools/llvm-cov" report "${selection[@]}" --show-region-summary=false --show-branch-summary=false
exit $failed
