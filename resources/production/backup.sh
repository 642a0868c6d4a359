#!/bin/sh
# Copy the databases, then the files that they name, to $BACKUPS/last; it is replaced when all of the new copy is there.
set -eu
backups=${BACKUPS:-/var/backups/dataproducts}
rm -rf "$backups/new"
mkdir -p "$backups/new"
# Before the ledger: what it has seen of the ledger is then in the copy, and the rest is looked at again.
if [ "${DATAPRODUCTS_OPERATIONS:-$DATAPRODUCTS_LEDGER}" != "$DATAPRODUCTS_LEDGER" ]; then
  pg_dump --format=custom --file="$backups/new/operations.dump" "$DATAPRODUCTS_OPERATIONS"
fi
pg_dump --format=custom --file="$backups/new/dataproducts.dump" "$DATAPRODUCTS_LEDGER"
pg_dump --format=custom --file="$backups/new/dagster.dump" "$(echo "$DAGSTER_POSTGRES_URL" | sed 's/+psycopg2//')"
# Views and scratch space are not needed: the former are rendered again.
cd "$DATAPRODUCTS_STORE"
tar --create --file="$backups/new/files.tar" $(ls -d data quarantine 2>/dev/null)
sync
rm -rf "$backups/before"
if [ -e "$backups/last" ]; then mv "$backups/last" "$backups/before"; fi
mv "$backups/new" "$backups/last"
rm -rf "$backups/before"
