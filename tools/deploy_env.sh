# A production-shaped environment for `check --deploy`; the key protects nothing.
export IREFUDA_REALM=production IREFUDA_CITY_NAME=例市 IREFUDA_STATE_DIR="$PWD/var/deploy-check"
export IREFUDA_SECRET_KEY="$(python3 -c 'import secrets; print(secrets.token_urlsafe(60))')"
export IREFUDA_SUPPLIER_ORIGIN=https://ebid.example.lg.jp IREFUDA_PUBLIC_ORIGIN=https://open.example.lg.jp
export IREFUDA_STAFF_ORIGIN=https://staff.example.lg.jp
mkdir -p "$IREFUDA_STATE_DIR"
