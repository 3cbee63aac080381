# Sets the passwords of the login roles in PostgreSQL, and creates the roles first. $LOGIN_ROLES is a mounted Secret with one file per
# role. A role without a file gets no password and cannot log in over the network. The file "password" is that of $POSTGRES_USER, the
# owner of the database, which releases before the login roles used.
#
# psql connects over the local socket, which needs no password. Passwords are neither in arguments nor in the log.
trap 'exit 0' TERM INT

set_login_roles() {
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv owner POSTGRES_USER
\set catalog_a `cat "$LOGIN_ROLES/catalog_a" 2>/dev/null || true`
\set catalog_b `cat "$LOGIN_ROLES/catalog_b" 2>/dev/null || true`
\set of_owner `cat "$LOGIN_ROLES/password" 2>/dev/null || true`
SET log_statement = none;
SET log_min_error_statement = panic;
SET log_min_duration_statement = -1;
SELECT format('CREATE ROLE %I LOGIN IN ROLE %I', login, :'owner')
FROM unnest(ARRAY['catalog_a', 'catalog_b']) AS login
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) \gexec
-- Sessions act as the owner, so that it owns all objects, whichever login role was used.
SELECT format('ALTER ROLE %I SET role = %L', login, :'owner') FROM unnest(ARRAY['catalog_a', 'catalog_b']) AS login \gexec
SELECT format('ALTER ROLE %I PASSWORD %L', login, nullif(password, ''))
FROM (VALUES ('catalog_a', :'catalog_a'), ('catalog_b', :'catalog_b'), (:'owner', :'of_owner')) AS logins (login, password) \gexec
SQL
}

applied=
pause=1
while true; do
  # The kubelet replaces all files atomically, up to two minutes after the Secret was changed.
  wanted=$(cd "$LOGIN_ROLES" && tail -n +1 -- *)
  if [ "$wanted" != "$applied" ] && pg_isready --quiet --username "$POSTGRES_USER" --dbname postgres; then
    if set_login_roles; then
      applied=$wanted pause=1
      echo "login roles set"
    else
      # If this container exited, the pod would not be ready, although PostgreSQL still serves with the old passwords.
      [ "$pause" -ge 30 ] || pause=$((pause * 2))
      echo "login roles not set; retrying in $pause s" >&2
    fi
  fi
  sleep "$pause" &
  wait $!
done
