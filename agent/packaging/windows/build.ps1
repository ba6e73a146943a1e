# 未検証 (never run by us): builds the Windows installer of the companion program with PyInstaller and WiX 4.
# On Windows 11 with Python 3.11 (64 bit) and WiX on the PATH, from the top of the checkout: agent\packaging\windows\build.ps1
$ErrorActionPreference = "Stop"
$version = (Select-String -Path agent\src\irefuda_agent\version.py -Pattern '^VERSION = "(.+)"').Matches[0].Groups[1].Value
py -3.11 -m venv build\venv
build\venv\Scripts\python -m pip install --require-hashes -r requirements.lock
build\venv\Scripts\python -m pip install --no-build-isolation --no-deps core agent
# PyInstaller is a tool of the builder and not in the lock file: take the version that you have checked.
build\venv\Scripts\python -m pip install pyinstaller
build\venv\Scripts\pyinstaller --noconfirm --distpath build\dist --workpath build\work agent\packaging\irefuda-card.spec
wix build agent\packaging\windows\irefuda-card.wxs -d Version=$version -d Source=build\dist\irefuda-card -arch x64 -out "build\irefuda-card-agent-$version.msi"
Get-FileHash "build\irefuda-card-agent-$version.msi" -Algorithm SHA256
