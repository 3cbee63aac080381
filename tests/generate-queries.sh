#!/usr/bin/env bash
# Renews .sqlx: what PostgreSQL says of every query, so that the code compiles without a database.
# Starts a throw-away PostgreSQL, applies api/migrations to it and compiles against it.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${POSTGRES_BIN:-$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)}
[ -x "$bin/initdb" ] || bin=$(dirname "$(command -v initdb || true)")
[ -x "$bin/initdb" ] && [ -x "$bin/psql" ] || {
    echo "needs PostgreSQL 15 or newer with psql: install it, or name its directory of programs in POSTGRES_BIN" >&2
    exit 1
}

work=$(mktemp -d)
as=()
if [ "$(id -u)" = 0 ]; then # PostgreSQL refuses root
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
touch api/src/lib.rs # the compiler doesn't know that the database is another one
SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$PWD/.sqlx" DATABASE_URL="postgres://postgres@localhost/postgres?host=$work" \
    cargo check --quiet --workspace --lib --bins --tests
touch api/src/lib.rs
echo "$(find .sqlx -name '*.json' | wc -l) queries in .sqlx"
