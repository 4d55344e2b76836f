"""Where visits come from and on what they are made: channels, campaigns, devices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Touch:
    """One way to the shop, as its first page view reports it.

    `channel` is the name GA4's default channel grouping gives it. `weight` is its share of the
    visits of strangers, `known_weight` of those of known users.
    """

    channel: str
    weight: float
    known_weight: float
    source: str | None = None
    medium: str | None = None
    campaign: str | None = None
    term: str | None = None
    content: str | None = None
    referrer: str | None = None
    click_prefix: str | None = None


TOUCHES = (
    Touch("Direct", 20, 38),
    Touch("Organic Search", 24, 14, referrer="https://www.google.com/"),
    Touch("Organic Search", 3, 2, referrer="https://www.bing.com/"),
    Touch("Organic Search", 1, 1, "duckduckgo", "organic", referrer="https://duckduckgo.com/"),
    Touch(
        *("Paid Search", 9, 5, "google", "cpc", "brand", "clickmart", "headline-a"),
        referrer="https://www.google.com/",
        click_prefix="gclid-",
    ),
    Touch(
        *("Paid Search", 8, 3, "google", "cpc", "generic-search", "buy shoes online", "headline-b"),
        referrer="https://www.google.com/",
        click_prefix="gclid-",
    ),
    Touch(
        *("Paid Search", 2, 1, "bing", "ppc", "generic-search", "gift ideas"),
        referrer="https://www.bing.com/",
        click_prefix="msclkid-",
    ),
    Touch(
        *("Paid Social", 8, 3, "facebook", "paid_social", "spring-prospecting", None, "carousel"),
        referrer="https://m.facebook.com/",
        click_prefix="fbclid-",
    ),
    Touch(
        *("Paid Social", 5, 3, "instagram", "paid_social", "retargeting", None, "story"),
        referrer="https://l.instagram.com/",
    ),
    Touch("Organic Social", 3, 2, referrer="https://www.facebook.com/"),
    Touch("Organic Social", 2, 1, "pinterest", "social", referrer="https://www.pinterest.com/"),
    Touch("Email", 1, 12, "newsletter", "email", "weekly-news", None, "top-banner"),
    Touch("Email", 0, 5, "newsletter", "email", "cart-reminder"),
    Touch(
        *("Affiliates", 4, 3, "dealhunter", "affiliate", "deals"),
        referrer="https://dealhunter.example.org/",
    ),
    Touch("Display", 4, 2, "displaynet", "display", "spring-banner", None, "banner-300x250"),
    Touch("Referral", 4, 3, referrer="https://blog.example.net/gift-guide"),
    Touch("Referral", 2, 2, "styleforum.example.org", "referral", None),
)


@dataclass(frozen=True)
class Device:
    """A device, operating system and browser; 58 % desktop and 40 % mobile, as GA4 measures."""

    weight: float
    type: str
    os: str
    browser: str
    viewport: str


DEVICES = (
    Device(34, "desktop", "Windows", "Chrome", "1920x1080"),
    Device(8, "desktop", "Windows", "Edge", "1536x864"),
    Device(4, "desktop", "Windows", "Firefox", "1920x1080"),
    Device(6, "desktop", "macOS", "Safari", "1440x900"),
    Device(5, "desktop", "macOS", "Chrome", "1440x900"),
    Device(1, "desktop", "Linux", "Firefox", "1920x1080"),
    Device(17, "mobile", "iOS", "Safari", "390x844"),
    Device(19, "mobile", "Android", "Chrome", "412x915"),
    Device(4, "mobile", "Android", "Samsung Internet", "360x800"),
    Device(1.5, "tablet", "iPadOS", "Safari", "820x1180"),
    Device(0.5, "tablet", "Android", "Chrome", "800x1280"),
    # Bots only: those that say so, and those that pretend.
    Device(0, "desktop", "Linux", "Googlebot", "1024x1024"),
    Device(0, "desktop", "Linux", "Chrome", "800x600"),
)
DECLARED_BOT_DEVICE = len(DEVICES) - 2
HIDDEN_BOT_DEVICE = len(DEVICES) - 1


def _cumulated(weights: list[float]) -> NDArray[np.float64]:
    return np.asarray(np.cumsum(weights) / np.sum(weights))


STRANGERS_TOUCHES = _cumulated([touch.weight for touch in TOUCHES])
KNOWN_TOUCHES = _cumulated([touch.known_weight for touch in TOUCHES])
DEVICE_SHARES = _cumulated([device.weight for device in DEVICES])


def draw_touches(random: np.random.Generator, is_known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return a place in TOUCHES for each session."""
    share = random.random(len(is_known))
    return np.where(
        is_known,
        np.searchsorted(KNOWN_TOUCHES, share, side="right"),
        np.searchsorted(STRANGERS_TOUCHES, share, side="right"),
    )


def draw_devices(random: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Return a place in DEVICES for each visitor."""
    return np.searchsorted(DEVICE_SHARES, random.random(count), side="right")
