#!/usr/bin/env bash
# Measures the line coverage of all tests and of the processes that they start, killed ones included.
# Prints a table of files; target/coverage/html/index.html shows the lines.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$PWD/target/coverage
tools=$(rustc --print target-libdir)/../bin
[ -x "$tools/llvm-cov" ] || rustup component add llvm-tools

# Only the crates of the workspace are instrumented. Counters are memory-mapped files (%c, which needs relocatable
# counters), so that kill -9 loses nothing. The processes of one program share eight files (%8m).
mkdir -p "$target"
wrapper=$target/instrument
printf '#!/bin/sh\nexec "$@" -C instrument-coverage -C llvm-args=-runtime-counter-relocation\n' >"$wrapper"
chmod +x "$wrapper"
profiles=$(mktemp -d)
chmod a+rx "$profiles"
# Programs that tests start with an empty environment write default_*.profraw into their working directory.
trap 'rm -rf "$profiles" tests/default_*.profraw' EXIT
export CARGO_TARGET_DIR=$target RUSTC_WORKSPACE_WRAPPER=$wrapper LLVM_PROFILE_FILE="$profiles/%8m%c.profraw"

# The same selection for both, so that nothing is built twice with different features.
selection=(--locked --workspace --bins --lib --tests)
executables=$(cargo build "${selection[@]}" --message-format json-render-diagnostics | grep -o '"executable":"[^"]*"' | cut -d '"' -f 4 | sort -u)
rm -f "$profiles"/* tests/default_*.profraw # those of build scripts and earlier runs
# A failed test doesn't prevent the report.
failed=0
cargo test "${selection[@]}" --no-fail-fast || failed=1

shopt -s nullglob # one of the two patterns may match nothing
"$tools/llvm-profdata" merge --sparse "$profiles"/*.profraw tests/default_*.profraw --output "$target/coverage.profdata"
objects=()
for executable in $executables; do
    objects+=(--object "$executable")
done
shown=(--instr-profile "$target/coverage.profdata" --ignore-filename-regex "(/\.cargo/|/rustc/|^$PWD/tests/|/tests\.rs$)" "${objects[@]}")
"$tools/llvm-cov" show "${shown[@]}" --format html --output-dir "$target/html" --show-instantiations=false
"$tools/llvm-cov" report "${shown[@]}" --show-region-summary=false --show-branch-summary=false
exit $failed
