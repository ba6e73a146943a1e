#!/usr/bin/env bash
# Set this machine up: Debian packages (where root or sudo allows) and the virtual environment. Does nothing twice.
set -euo pipefail
venv=$1
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"

missing=()
while read -r package; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing+=("$package")
done <tools/debian_packages.txt
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ]; then as_root=()
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root=(sudo -n)
    else
        echo "These Debian packages are missing, and neither root nor sudo is at hand:" >&2
        printf '  %s\n' "${missing[@]}" >&2
        echo "Install them with: sudo apt-get install ${missing[*]}" >&2
        exit 1
    fi
    echo "[1/3] installing Debian packages: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
else
    echo "[1/3] Debian packages: all there"
fi

if [ ! -x "$venv/bin/python" ]; then
    echo "[2/3] making the virtual environment $venv"
    python3 -m venv "$venv"
fi
echo "[2/3] installing the locked Python packages"
"$venv/bin/python" -m pip install --disable-pip-version-check -q --require-hashes -r requirements.lock
echo "[3/3] installing irefuda-core, irefuda-card-agent and irefuda from this checkout"
"$venv/bin/python" -m pip install --disable-pip-version-check -q --no-build-isolation --no-deps -e core -e agent -e server
