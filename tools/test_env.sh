# Settings for tests and one-off commands of developers; nothing here is a secret of any installation.
export IREFUDA_REALM=practice IREFUDA_STATE_DIR="${IREFUDA_STATE_DIR:-$PWD/var/test}"
export IREFUDA_SECRET_KEY="${IREFUDA_SECRET_KEY:-for-tests-only-$(printf '%050d' 7)}"
export IREFUDA_SUPPLIER_ORIGIN=http://localhost:8000 IREFUDA_PUBLIC_ORIGIN=http://open.localhost:8002
export IREFUDA_STAFF_ORIGIN=http://staff.localhost:8001
mkdir -p "$IREFUDA_STATE_DIR"
