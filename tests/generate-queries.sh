#!/usr/bin/env bash
# Regenerates .sqlx, the descriptions of all queries, with which the code compiles without a database.
# Starts a temporary PostgreSQL, applies api/migrations and compiles against it.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${POSTGRES_BIN:-$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)}
[ -x "$bin/initdb" ] || bin=$(dirname "$(command -v initdb || true)")
[ -x "$bin/initdb" ] && [ -x "$bin/psql" ] || {
    echo "generate-queries: PostgreSQL 15 or newer with psql is needed. Install it, or set POSTGRES_BIN to the directory of its programs." >&2
    exit 1
}

work=$(mktemp -d)
as=()
if [ "$(id -u)" = 0 ]; then # PostgreSQL doesn't run as root
    as=(setpriv --reuid nobody --regid nogroup --clear-groups)
    chown nobody:nogroup "$work"
fi
trap '"${as[@]}" "$bin/pg_ctl" -D "$work/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
"${as[@]}" "$bin/initdb" -D "$work/data" -U postgres --auth trust --no-sync >/dev/null
"${as[@]}" "$bin/pg_ctl" -D "$work/data" -l "$work/log" -w -o "-c listen_addresses= -c fsync=off -k $work" start >/dev/null
export PGHOST=$work PGUSER=postgres
for migration in api/migrations/*.sql; do
    "$bin/psql" -d postgres -v ON_ERROR_STOP=1 -q1f "$migration"
done

rm -rf .sqlx && mkdir .sqlx
touch api/src/lib.rs # forces a compilation: cargo doesn't track the database
SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$PWD/.sqlx" DATABASE_URL="postgres://postgres@localhost/postgres?host=$work" \
    cargo check --quiet --workspace --lib --bins --tests
touch api/src/lib.rs
echo "$(find .sqlx -name '*.json' | wc -l) queries in .sqlx"
