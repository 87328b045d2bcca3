#!/bin/sh
# The MLflow server with accounts; its password comes from the environment, and so into a file that
# only this container can read.
set -eu
: "${MLFLOW_PASSWORD:?}" "${POSTGRES_PASSWORD:?}"
umask 077
MLFLOW_AUTH_CONFIG_PATH=$(mktemp)
cat > "$MLFLOW_AUTH_CONFIG_PATH" <<END
[mlflow]
default_permission = READ
database_uri = postgresql+psycopg://bertops:${POSTGRES_PASSWORD}@postgres/mlflow-auth
admin_username = bertops
admin_password = ${MLFLOW_PASSWORD}
END
export MLFLOW_AUTH_CONFIG_PATH
exec mlflow server --app-name basic-auth --host 0.0.0.0 --port 5000 \
  --backend-store-uri "postgresql+psycopg://bertops:${POSTGRES_PASSWORD}@postgres/mlflow" \
  --artifacts-destination s3://bertops/mlflow
