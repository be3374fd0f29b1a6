#!/bin/sh
# Finds a Chromium for the browser tests, or installs one: Debian's package as root, else Playwright's own.
set -eu
for name in chromium-headless-shell chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null && exit 0
done
.venv/bin/python -c 'import pathlib, sys
from playwright.sync_api import sync_playwright
with sync_playwright() as p: sys.exit(not pathlib.Path(p.chromium.executable_path).exists())' 2>/dev/null && exit 0

echo "A Chromium is needed for the browser tests; installing one …"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium && exit 0
elif .venv/bin/playwright install chromium; then
    exit 0
fi
echo "No Chromium could be installed. Install one by hand (Debian, Ubuntu: sudo apt-get install chromium) and run the command again." >&2
exit 1
