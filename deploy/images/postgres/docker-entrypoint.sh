#!/bin/sh
# Starts PostgreSQL, after creating the database if there is none. Compatible with the official image's entrypoint:
# https://github.com/docker-library/docs/blob/master/postgres/README.md
#
#   POSTGRES_PASSWORD          password of the superuser; required unless POSTGRES_HOST_AUTH_METHOD is trust
#   POSTGRES_USER              name of the superuser [postgres]
#   POSTGRES_DB                name of the database [POSTGRES_USER]
#   POSTGRES_INITDB_ARGS       more arguments for initdb
#   POSTGRES_INITDB_WALDIR     directory of the write-ahead log
#   POSTGRES_HOST_AUTH_METHOD  authentication method of network connections [scram-sha-256]
#   PGDATA                     directory of the data
# The first four can also be set as NAME_FILE, which names a file with the value.
set -eu

log() { printf '%s\n' "$0: $*" >&2; }
die() { log "$*"; exit 1; }

# Sets the variable $1 from the file that $1_FILE names, or to $2 if there is neither.
read_setting() {
    eval "value=\${$1:-} file=\${$1_FILE:-}"
    if [ -n "$value" ] && [ -n "$file" ]; then die "$1 and $1_FILE are both set: give one of them"; fi
    if [ -n "$file" ]; then value=$(cat "$file"); fi
    : "${value:=${2:-}}"
    eval "export $1=\$value; unset $1_FILE"
}

read_settings() {
    read_setting POSTGRES_PASSWORD
    read_setting POSTGRES_USER postgres
    read_setting POSTGRES_DB "$POSTGRES_USER"
    read_setting POSTGRES_INITDB_ARGS
    : "${POSTGRES_HOST_AUTH_METHOD:=}"
    if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
        die "a new database needs a password for its superuser: set POSTGRES_PASSWORD (or POSTGRES_HOST_AUTH_METHOD=trust, which accepts every connection)"
    fi
    if [ "$POSTGRES_HOST_AUTH_METHOD" = trust ]; then log "POSTGRES_HOST_AUTH_METHOD is trust: any client can connect as superuser"; fi
}

# Creates the directories; as root, gives them to the user postgres.
create_directories() {
    mkdir -p "$PGDATA" /var/run/postgresql
    # May fail on a volume that belongs to another user. PostgreSQL checks the permissions that it needs.
    chmod 00700 "$PGDATA" || :
    chmod 03775 /var/run/postgresql 2>/dev/null || :
    if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then mkdir -p "$POSTGRES_INITDB_WALDIR"; fi
    if [ "$(id -u)" = 0 ]; then
        find "$PGDATA" "$(dirname "$PGDATA")" ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} /var/run/postgresql \
            \! -user postgres -exec chown postgres '{}' +
    fi
}

# Fails if another directory of the official images holds data. It would be ignored, and the shop would be empty.
check_other_data() {
    for version in /var/lib/postgresql/*/docker/PG_VERSION /var/lib/postgresql/data/PG_VERSION; do
        if [ -s "$version" ]; then
            die "${version%/*} holds data of PostgreSQL $(cat "$version"), and $PGDATA (PostgreSQL $PG_MAJOR) is empty: move the data there, upgrade it (pg_upgrade), or move it to a directory outside of /var/lib/postgresql"
        fi
    done
}

# Runs initdb for the directory $1.
run_initdb() {
    set -- --pgdata="$1" --username="$POSTGRES_USER"
    # As in Debian's packages and the official image.
    set -- "$@" --set listen_addresses='*' --set unix_socket_directories=/var/run/postgresql
    if [ -n "$POSTGRES_PASSWORD" ]; then set -- "$@" --pwfile=/dev/stdin; fi
    if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then set -- "$@" --waldir="$POSTGRES_INITDB_WALDIR"; fi
    # The arguments may contain shell quotes.
    eval "set -- \"\$@\" $POSTGRES_INITDB_ARGS"
    set -- initdb "$@"
    # initdb needs a user name: see passwd_entry.c.
    if ! id -un >/dev/null 2>&1; then set -- env LD_PRELOAD="/usr/lib/postgresql/$PG_MAJOR/lib/passwd_entry.so" "$@"; fi
    printf '%s\n' "$POSTGRES_PASSWORD" | "$@"
}

# Sets the authentication method of network connections. By initdb's default, the local socket has trust.
configure_authentication() {
    method=$POSTGRES_HOST_AUTH_METHOD
    : "${method:=$(postgres -C password_encryption -D "$1")}"
    printf '\n# Written by docker-entrypoint.sh\nhost all all all %s\n' "$method" >>"$1/pg_hba.conf"
}

sql() { psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc "$@"; }

# Starts a server without network connections.
start_without_network() {
    data=$1
    shift
    options=
    for argument in "$@" -c listen_addresses= -p "${PGPORT:-5432}"; do
        options="$options '$(printf %s "$argument" | sed "s/'/'\\\\''/g")'"
    done
    NOTIFY_SOCKET='' pg_ctl --pgdata="$data" --options="$options" --wait start
}

create_database() {
    if [ "$POSTGRES_DB" = postgres ]; then return; fi
    printf '%s' 'CREATE DATABASE :"db"' | sql --dbname postgres --set db="$POSTGRES_DB"
}

run_script() {
    if [ -x "$1" ]; then "$1"; return; fi
    # shellcheck disable=SC1090 # any script of the user
    . "$1"
}

# Runs the user's scripts in order.
run_scripts() {
    for script in /docker-entrypoint-initdb.d/*; do
        case $script in
            *.sh) run_script "$script" ;;
            *.sql) sql --dbname "$POSTGRES_DB" --file "$script" ;;
            *.sql.gz) gzip -dc "$script" | sql --dbname "$POSTGRES_DB" ;;
            '/docker-entrypoint-initdb.d/*') ;;
            *) log "ignoring $script" ;;
        esac
    done
}

# Creates the database in PGDATA. Unless that is a mount point, it is created in another directory and renamed when
# complete: after a crash the next start repeats it, and never uses a partial one.
initialise() {
    read_settings
    check_other_data
    new_pgdata=$PGDATA
    if [ -z "${POSTGRES_INITDB_WALDIR:-}" ] && rmdir "$PGDATA" 2>/dev/null; then
        new_pgdata=$PGDATA.unfinished
        rm -rf "$new_pgdata"
        mkdir -m 0700 "$new_pgdata"
    fi
    run_initdb "$new_pgdata"
    configure_authentication "$new_pgdata"
    export PGPASSWORD="${PGPASSWORD:-$POSTGRES_PASSWORD}"
    shift # `postgres`
    start_without_network "$new_pgdata" "$@"
    create_database
    run_scripts
    pg_ctl --pgdata="$new_pgdata" --mode=fast --wait stop
    unset PGPASSWORD
    if [ "$new_pgdata" != "$PGDATA" ]; then mv "$new_pgdata" "$PGDATA"; fi
    log "PostgreSQL init process complete; ready for start up."
}

# Succeeds if postgres would only print information.
prints_information() {
    for argument in "$@"; do
        case $argument in '-?' | --help | --describe-config | -V | --version) return 0 ;; esac
    done
    return 1
}

case ${1:-} in -*) set -- postgres "$@" ;; esac

if [ "${1:-}" = postgres ] && ! prints_information "$@"; then
    create_directories
    if [ "$(id -u)" = 0 ]; then exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"; fi
    if [ -s "$PGDATA/PG_VERSION" ]; then
        log "PostgreSQL Database directory appears to contain a database; Skipping initialization"
    else
        initialise "$@"
    fi
fi
exec "$@"
