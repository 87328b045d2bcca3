#!/bin/sh
# The MLflow server with accounts; its password comes from the environment, and so into a file that
# only this container can read.
set -eu
: "${MLFLOW_PASSWORD:?}" "${POSTGRES_PASSWORD:?}" "${MLFLOW_ARTIFACTS_DESTINATION:?}"
umask 077
MLFLOW_AUTH_CONFIG_PATH=$(mktemp)
cat > "$MLFLOW_AUTH_CONFIG_PATH" <<END
[mlflow]
default_permission = READ
database_uri = postgresql+psycopg://bertops:${POSTGRES_PASSWORD}@postgres/mlflow-auth
admin_username = bertops
admin_password = ${MLFLOW_PASSWORD}
END
# The address of the database holds its password: `ps` shows arguments to everybody.
MLFLOW_BACKEND_STORE_URI=postgresql+psycopg://bertops:${POSTGRES_PASSWORD}@postgres/mlflow
export MLFLOW_AUTH_CONFIG_PATH MLFLOW_BACKEND_STORE_URI
exec mlflow server --app-name basic-auth --host 0.0.0.0 --port 5000
