# The password of the Secret becomes the password of the role, also when the data is older than the Secret.
# Over the local socket no password is asked for; the statement is neither in arguments nor in the log.
tries=0
until pg_isready --quiet --username "$POSTGRES_USER" --dbname postgres && psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv role POSTGRES_USER
\getenv password POSTGRES_PASSWORD
SET log_statement = none;
SET log_min_error_statement = panic;
SET log_min_duration_statement = -1;
ALTER ROLE :"role" PASSWORD :'password';
SQL
do
  # While the server starts, however long, it isn't ready; when it is, this works soon or never.
  if pg_isready --quiet --username "$POSTGRES_USER" --dbname postgres; then
    tries=$((tries + 1))
    if [ "$tries" -ge 30 ]; then
      echo "the password of the role $POSTGRES_USER cannot be set" >&2
      exit 1
    fi
  fi
  sleep 1
done
