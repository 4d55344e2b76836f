"""Take the pictures of the documents from site and documentation: python docs/make_screenshots.py.

Needs Chromium and what `clickmart docs` and `clickmart site` wrote. Each picture has a browser
profile of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote, urlencode

from ingestion.settings import PROJECT_DIR, home_dir

IMAGES = PROJECT_DIR / "docs" / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-device-scale-factor=1.5",
    "--virtual-time-budget=15000",
)
REPORT = "!/model/model.clickmart.rpt_conversion_funnel"
SHOWN = (
    "source:raw.events stg_raw__events int_events_sessionized int_sessions_aggregated fct_events "
    "int_purchase_events int_orders_priced fct_sessions fct_orders fct_session_funnels "
    "int_order_touches fct_funnel_metrics fct_channel_metrics "
    "fct_attribution fct_carts rpt_conversion_funnel rpt_cart_abandonment "
    "rpt_channel_attribution exposure:conversion_funnel "
    "exposure:cart_abandonment exposure:channel_attribution"
)
LINEAGE = f"{REPORT}?{urlencode({'g_v': 1, 'g_i': SHOWN}, quote_via=quote)}"
DOCUMENTATION, SITE = "docs/index.html", "site/index.html"
# Each picture's page in the home, its place in that, and the size of the window.
PICTURES = {
    "lineage.png": (DOCUMENTATION, LINEAGE, (1240, 480)),
    "documentation.png": (DOCUMENTATION, REPORT, (1240, 900)),
    "site.png": (SITE, "", (1280, 980)),
}


def take(browser: str, page: Path, place: str, size: tuple[int, int], target: Path) -> None:
    """Write the picture of one place of the page."""
    with tempfile.TemporaryDirectory(prefix="clickmart-browser-") as profile:
        subprocess.run(
            [
                browser,
                *FLAGS,
                f"--user-data-dir={profile}",
                f"--window-size={size[0]},{size[1]}",
                f"--screenshot={target}",
                f"{page.as_uri()}#{place}",
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )


def main() -> int:
    """Take all pictures; return 1, and say why, where something is missing."""
    browser = next((path for path in map(shutil.which, BROWSERS) if path), None)
    absent = [
        home_dir() / page for page in (DOCUMENTATION, SITE) if not (home_dir() / page).exists()
    ]
    if browser is None or absent:
        missing = f"{absent[0]} (make it: clickmart up)" if absent else "Chromium"
        sys.stderr.write(f"Missing: {missing}\n")
        return 1
    IMAGES.mkdir(exist_ok=True)
    for name, (page, place, size) in PICTURES.items():
        take(browser, home_dir() / page, place, size, IMAGES / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
