#!/bin/sh
# Found through the link in /usr/bin; -I keeps the caller's folder and variables away from the program.
here=$(dirname "$(readlink -f "$0")")
exec "$here/python3" -I -m @MODULE@ "$@"
