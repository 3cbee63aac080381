#!/bin/sh
# Starts PostgreSQL, and makes the database first where there is none: the contract of the official image's entrypoint,
# https://github.com/docker-library/docs/blob/master/postgres/README.md
#
#   POSTGRES_PASSWORD          of the superuser; needed unless POSTGRES_HOST_AUTH_METHOD is trust
#   POSTGRES_USER              name of the superuser [postgres]
#   POSTGRES_DB                database to make [POSTGRES_USER]
#   POSTGRES_INITDB_ARGS       more arguments for initdb
#   POSTGRES_INITDB_WALDIR     directory of the write-ahead log
#   POSTGRES_HOST_AUTH_METHOD  for connections over the network [scram-sha-256]
#   PGDATA                     where the data is
# The first four also as NAME_FILE, a file that holds the value.
set -eu

say() { printf '%s\n' "$0: $*" >&2; }
die() { say "$*"; exit 1; }

# Sets the variable $1 from the file that $1_FILE names, or to $2 if there is neither.
setting() {
    eval "value=\${$1:-} file=\${$1_FILE:-}"
    if [ -n "$value" ] && [ -n "$file" ]; then die "$1 and $1_FILE are both set: give one of them"; fi
    if [ -n "$file" ]; then value=$(cat "$file"); fi
    : "${value:=${2:-}}"
    eval "export $1=\$value; unset $1_FILE"
}

settings() {
    setting POSTGRES_PASSWORD
    setting POSTGRES_USER postgres
    setting POSTGRES_DB "$POSTGRES_USER"
    setting POSTGRES_INITDB_ARGS
    : "${POSTGRES_HOST_AUTH_METHOD:=}"
    if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
        die "there is no database yet, and no password for its superuser: set POSTGRES_PASSWORD (or POSTGRES_HOST_AUTH_METHOD=trust, which lets everybody in)"
    fi
    if [ "$POSTGRES_HOST_AUTH_METHOD" = trust ]; then say "POSTGRES_HOST_AUTH_METHOD is trust: whoever reaches the port is superuser"; fi
}

# The directories there have to be; as root they are given to the user postgres.
directories() {
    mkdir -p "$PGDATA" /var/run/postgresql
    # Not ours to change where a volume's group rules; PostgreSQL checks for itself what matters.
    chmod 00700 "$PGDATA" || :
    chmod 03775 /var/run/postgresql 2>/dev/null || :
    if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then mkdir -p "$POSTGRES_INITDB_WALDIR"; fi
    if [ "$(id -u)" = 0 ]; then
        find "$PGDATA" "$(dirname "$PGDATA")" ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} /var/run/postgresql \
            \! -user postgres -exec chown postgres '{}' +
    fi
}

# Data at another of the official images' places would be ignored silently, and the shop be empty.
data_elsewhere() {
    for version in /var/lib/postgresql/*/docker/PG_VERSION /var/lib/postgresql/data/PG_VERSION; do
        if [ -s "$version" ]; then
            die "${version%/*} holds data of PostgreSQL $(cat "$version"), and $PGDATA (PostgreSQL $PG_MAJOR) is empty: move it there, upgrade it (pg_upgrade) or move it away"
        fi
    done
}

# initdb into the directory $1.
make_data() {
    set -- --pgdata="$1" --username="$POSTGRES_USER"
    # As in Debian's packages, and so in the official image.
    set -- "$@" --set listen_addresses='*' --set unix_socket_directories=/var/run/postgresql
    if [ -n "$POSTGRES_PASSWORD" ]; then set -- "$@" --pwfile=/dev/stdin; fi
    if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then set -- "$@" --waldir="$POSTGRES_INITDB_WALDIR"; fi
    # The arguments may be quoted inside, as for a shell.
    eval "set -- \"\$@\" $POSTGRES_INITDB_ARGS"
    set -- initdb "$@"
    # Whoever we are gets a name: see someone.c.
    if ! id -un >/dev/null 2>&1; then set -- env LD_PRELOAD="/usr/lib/postgresql/$PG_MAJOR/lib/someone.so" "$@"; fi
    printf '%s\n' "$POSTGRES_PASSWORD" | "$@"
}

# Whom the network lets in; the local socket trusts, by initdb's default.
let_in() {
    method=$POSTGRES_HOST_AUTH_METHOD
    : "${method:=$(postgres -C password_encryption -D "$1")}"
    printf '\n# Written by docker-entrypoint.sh\nhost all all all %s\n' "$method" >>"$1/pg_hba.conf"
}

sql() { psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc "$@"; }

# A server for ourselves alone, which nobody reaches over the network.
start_private() {
    data=$1
    shift
    options=
    for argument in "$@" -c listen_addresses= -p "${PGPORT:-5432}"; do
        options="$options '$(printf %s "$argument" | sed "s/'/'\\\\''/g")'"
    done
    NOTIFY_SOCKET='' pg_ctl --pgdata="$data" --options="$options" --wait start
}

make_database() {
    if [ "$POSTGRES_DB" = postgres ]; then return; fi
    printf '%s' 'CREATE DATABASE :"db"' | sql --dbname postgres --set db="$POSTGRES_DB"
}

run_script() {
    if [ -x "$1" ]; then "$1"; return; fi
    # shellcheck disable=SC1090 # it can be any
    . "$1"
}

# Scripts that people put there run once, in order.
run_scripts() {
    for script in /docker-entrypoint-initdb.d/*; do
        case $script in
            *.sh) run_script "$script" ;;
            *.sql) sql --dbname "$POSTGRES_DB" --file "$script" ;;
            *.sql.gz) gzip -dc "$script" | sql --dbname "$POSTGRES_DB" ;;
            '/docker-entrypoint-initdb.d/*') ;;
            *) say "ignoring $script" ;;
        esac
    done
}

# Makes the database in PGDATA. Unless that is a mount itself it is made aside and moved into its place when complete:
# who is killed on the way begins again, and never starts with half of it.
initialise() {
    settings
    data_elsewhere
    made=$PGDATA
    if [ -z "${POSTGRES_INITDB_WALDIR:-}" ] && rmdir "$PGDATA" 2>/dev/null; then
        made=$PGDATA.unfinished
        rm -rf "$made"
        mkdir -m 0700 "$made"
    fi
    make_data "$made"
    let_in "$made"
    export PGPASSWORD="${PGPASSWORD:-$POSTGRES_PASSWORD}"
    shift # `postgres`
    start_private "$made" "$@"
    make_database
    run_scripts
    pg_ctl --pgdata="$made" --mode=fast --wait stop
    unset PGPASSWORD
    if [ "$made" != "$PGDATA" ]; then mv "$made" "$PGDATA"; fi
    say "PostgreSQL init process complete; ready for start up."
}

asks_only() {
    for argument in "$@"; do
        case $argument in '-?' | --help | --describe-config | -V | --version) return 0 ;; esac
    done
    return 1
}

case ${1:-} in -*) set -- postgres "$@" ;; esac

if [ "${1:-}" = postgres ] && ! asks_only "$@"; then
    directories
    if [ "$(id -u)" = 0 ]; then exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"; fi
    if [ -s "$PGDATA/PG_VERSION" ]; then
        say "PostgreSQL Database directory appears to contain a database; Skipping initialization"
    else
        initialise "$@"
    fi
fi
exec "$@"
