#!/bin/sh
# Dump the databases to FOLDER, whole or not at all, and keep the last 14 days.
set -eu
folder=${1:?folder for the dumps}
umask 077
mkdir -p "$folder"
day=$(date -u +%Y-%m-%d)
for database in prefect mlflow mlflow-auth; do
  pg_dump --format=custom "$database" > "$folder/.$database-$day.partial"
  mv "$folder/.$database-$day.partial" "$folder/$database-$day.dump"
done
find "$folder" -name '*.dump' -mtime +14 -delete
