"""What the settings take from the environment, and refuse at the start."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from django.core.exceptions import ImproperlyConfigured

from irefuda.config import env


def test_proxies_are_addresses_or_networks_in_one_spelling(monkeypatch):
    monkeypatch.setenv("PROXIES", "192.0.2.10 10.1.0.0/16 2001:DB8::0:1 ::ffff:192.0.2.11")
    expected = ["192.0.2.10/32", "10.1.0.0/16", "2001:db8::1/128", "192.0.2.11/32"]
    assert env.networks("PROXIES") == [ip_network(written) for written in expected]
    monkeypatch.delenv("PROXIES")
    assert env.networks("PROXIES") == []


@pytest.mark.parametrize(
    "written", ["proxy.local", "192.0.2.10,192.0.2.11", "192.0.2.10:80", "10.1.2.3/16", "010.0.0.1"]
)
def test_what_is_no_address_is_refused_at_the_start(monkeypatch, written):
    monkeypatch.setenv("PROXIES", f"192.0.2.1 {written}")
    with pytest.raises(ImproperlyConfigured, match="PROXIES"):
        env.networks("PROXIES")


def test_a_version_is_three_numbers(monkeypatch):
    assert env.version("LEAST", "0.1.0") == (0, 1, 0)
    monkeypatch.setenv("LEAST", "1.20.3")
    assert env.version("LEAST", "0.1.0") == (1, 20, 3)


@pytest.mark.parametrize("written", ["", "1.2", "1.2.3.4", "v1.2.3", "1.2.x", "１.2.3", "1.2.3\n"])
def test_what_is_no_version_is_refused_at_the_start(monkeypatch, written):
    monkeypatch.setenv("LEAST", written)
    with pytest.raises(ImproperlyConfigured, match="LEAST"):
        env.version("LEAST", "0.1.0")
