#!/bin/sh
# Bring a backup back into an EMPTY database. Nothing that is there is ever overwritten.
#   restore.sh FILE           DATABASE_URL or DATABASE_URL_FILE says where to
set -eu
umask 077
file=${1:?usage: restore.sh FILE}
url=${DATABASE_URL:-}
[ -n "$url" ] || url=$(cat "${DATABASE_URL_FILE:?DATABASE_URL or DATABASE_URL_FILE must be set}")
sums="${file%.*}.sha256"
if [ -e "$sums" ]; then
    (cd "$(dirname "$file")" && sha256sum --check --quiet "$(basename "$sums")")
fi
case $url in
postgresql://* | postgres://*)
    there=$(psql --no-psqlrc --tuples-only --no-align --dbname "$url" --command "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    if [ "$there" != 0 ]; then
        echo "restore.sh: the database has $there tables already; nothing was changed" >&2
        exit 1
    fi
    pg_restore --exit-on-error --single-transaction --no-owner --no-privileges --dbname "$url" "$file"
    ;;
sqlite:///*)
    path=$(python3 -c 'import sys, urllib.parse; print(urllib.parse.unquote(sys.argv[1]))' "${url#sqlite:///}")
    for there in "$path" "$path-wal" "$path-shm"; do
        if [ -e "$there" ]; then
            echo "restore.sh: $there is there already; nothing was changed" >&2
            exit 1
        fi
    done
    cp "$file" "$path.restoring"
    sync "$path.restoring"
    mv "$path.restoring" "$path"
    ;;
*)
    echo "restore.sh: DATABASE_URL is neither postgresql:// nor sqlite:///" >&2
    exit 1
    ;;
esac
echo "restored: now migrate, roles.sql, audit_ledger (docs/operations/restore.md)"
