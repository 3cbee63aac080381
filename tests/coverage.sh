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
# Tests that start programs with an empty environment make them report to where they run.
trap 'rm -rf "$profiles" tests/default_*.profraw' EXIT
export CARGO_TARGET_DIR=$target RUSTC_WORKSPACE_WRAPPER=$wrapper LLVM_PROFILE_FILE="$profiles/%8m%c.profraw"

# One selection for both, so that nothing is built twice with other features.
selection=(--locked --workspace --bins --lib --tests)
executables=$(cargo build "${selection[@]}" --message-format json-render-diagnostics | grep -o '"executable":"[^"]*"' | cut -d '"' -f 4 | sort -u)
rm -f "$profiles"/* tests/default_*.profraw # of build scripts and earlier runs
# Coverage is of interest also when a test fails.
failed=0
cargo test "${selection[@]}" --no-fail-fast || failed=1

shopt -s nullglob # one of the two places may have none
"$tools/llvm-profdata" merge --sparse "$profiles"/*.profraw tests/default_*.profraw --output "$target/coverage.profdata"
objects=()
for executable in $executables; do
    objects+=(--object "$executable")
done
shown=(--instr-profile "$target/coverage.profdata" --ignore-filename-regex "(/\.cargo/|/rustc/|^$PWD/tests/|/tests\.rs$)" "${objects[@]}")
"$tools/llvm-cov" show "${shown[@]}" --format html --output-dir "$target/html" --show-instantiations=false
"$tools/llvm-cov" report "${shown[@]}" --show-region-summary=false --show-branch-summary=false
exit $failed
