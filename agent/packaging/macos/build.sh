#!/bin/sh
# 未検証 (never run by us): builds the macOS installer of the companion program with PyInstaller and pkgbuild.
# On macOS 14 with Python 3.11, from the top of the checkout: sh agent/packaging/macos/build.sh
# Signing with a Developer ID and notarization (codesign, notarytool) are the publisher's to add.
set -eu
version=$(sed -n 's/^VERSION = "\(.*\)"/\1/p' agent/src/irefuda_agent/version.py)
python3.11 -m venv build/venv
build/venv/bin/python -m pip install --require-hashes -r requirements.lock
build/venv/bin/python -m pip install --no-build-isolation --no-deps core agent
# PyInstaller is a tool of the builder and not in the lock file: take the version that you have checked.
build/venv/bin/python -m pip install pyinstaller
build/venv/bin/pyinstaller --noconfirm --distpath build/dist --workpath build/work agent/packaging/irefuda-card.spec
mkdir -p build/root/usr/local/libexec build/root/usr/local/bin build/root/Library/LaunchAgents
cp -R build/dist/irefuda-card build/root/usr/local/libexec/irefuda-card
ln -sf ../libexec/irefuda-card/irefuda-card build/root/usr/local/bin/irefuda-card
cp agent/packaging/macos/jp.irefuda.card.plist build/root/Library/LaunchAgents/
pkgbuild --root build/root --identifier jp.irefuda.card --version "$version" "build/irefuda-card-agent-$version.pkg"
shasum -a 256 "build/irefuda-card-agent-$version.pkg"
