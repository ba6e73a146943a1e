#!/bin/sh
# Write one backup of the database into FOLDER, checked before it gets its name. Run as the owner of the tables.
#   backup.sh FOLDER          DATABASE_URL or DATABASE_URL_FILE says which database; KEEP_DAYS (35) how long a backup stays
set -eu
umask 077
folder=${1:?usage: backup.sh FOLDER}
url=${DATABASE_URL:-}
[ -n "$url" ] || url=$(cat "${DATABASE_URL_FILE:?DATABASE_URL or DATABASE_URL_FILE must be set}")
name="irefuda-$(date -u +%Y%m%dT%H%M%SZ)"
mkdir -p "$folder"
partial="$folder/.$name.partial"
trap 'rm -rf "$partial"' EXIT
case $url in
postgresql://* | postgres://*)
    pg_dump --format=custom --no-owner --no-privileges --file "$partial" --dbname "$url"
    # A dump that was cut off lists nothing.
    pg_restore --list "$partial" >/dev/null
    file="$folder/$name.dump"
    ;;
sqlite:///*)
    # The engine's own backup: a copy of the file would miss what still stands in the write-ahead log.
    path=$(python3 -c 'import sys, urllib.parse; print(urllib.parse.unquote(sys.argv[1]))' "${url#sqlite:///}")
    python3 - "$path" "$partial" <<'PYTHON'
import sqlite3, sys
source = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
copy = sqlite3.connect(sys.argv[2])
source.backup(copy)
copy.execute("PRAGMA journal_mode=DELETE")
# The checks of columns ask functions that only Django has.
copy.execute("PRAGMA ignore_check_constraints=ON")
(said,) = copy.execute("PRAGMA integrity_check").fetchone()
sys.exit(None if said == "ok" else f"the copy is not sound: {said}")
PYTHON
    file="$folder/$name.sqlite3"
    ;;
*)
    echo "backup.sh: DATABASE_URL is neither postgresql:// nor sqlite:///" >&2
    exit 1
    ;;
esac
sync "$partial"
mv "$partial" "$file"
(cd "$folder" && sha256sum "$(basename "$file")" >"$name.sha256")
find "$folder" -maxdepth 1 -name 'irefuda-*' -mtime "+${KEEP_DAYS:-35}" -delete
echo "$file"
