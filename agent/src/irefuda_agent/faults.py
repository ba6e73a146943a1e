"""The error contract between card, companion program and site: a name for each fault and its code in the catalogue."""

from __future__ import annotations

CODES = {
    "no_reader_service": "C-201",
    "no_reader": "C-202",
    "no_card": "C-203",
    "card_removed": "C-204",
    "card_swapped": "C-205",
    "not_recognised": "C-206",
    "no_suitable_certificate": "C-207",
    "certificate_expired": "C-208",
    "certificate_not_yet_valid": "C-209",
    "pin_wrong": "C-210",
    "pin_final_try": "C-211",
    "pin_locked": "C-212",
    "pin_length": "C-213",
    "cancelled": "C-214",
    "origin_refused": "C-215",
    "module_missing": "C-216",
    "module_timeout": "C-217",
    "module_failed": "C-218",
    "request_refused": "C-219",
    "pin_few_tries": "C-220",
    "settings_invalid": "C-225",
    "module_unusable": "C-226",
}
