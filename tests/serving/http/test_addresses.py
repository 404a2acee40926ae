"""The judgement of addresses against the standard library's own, and of URIs against what attackers write."""

import contextlib
import ipaddress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from serving.http.addresses import IPAddress, UriRules, check_address, shown, target_of
from serving.http.problems import ProblemError

RULES = UriRules(
    schemes=("http", "https"),
    hosts=("media.example.org", "other.example.org:8080", "*.cdn.example.org", "10.0.0.5", "[2001:db8::5]:90", "a.b"),
)

# Where ours is stricter than the standard library calls "global": each with the reason of its registry.
STRICTER = [
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments, two anycast addresses among them
        "192.88.99.0/24",  # relays of 6to4, withdrawn (RFC 7526)
        "224.0.0.0/4",
        "ff00::/8",
        "2001::/23",
        "2002::/16",
        "64:ff9b::/96",  # judged by the address inside
        "3fff::/20",  # since 2024; older Pythons do not know it
        "5f00::/16",
        "100:0:0:1::/64",
    )
]
UNICAST = ipaddress.ip_network("2000::/3")

ips: st.SearchStrategy[IPAddress] = st.one_of(
    st.ip_addresses(v=4),
    st.ip_addresses(v=6),
    st.integers(0, 2**32 - 1).map(lambda number: ipaddress.IPv6Address(number)),
    st.sampled_from(
        ["::ffff:0:0/96", "64:ff9b::/96", "2002::/16", "2001::/32", "fe80::/10", "fc00::/7", "ff00::/8"]
    ).flatmap(lambda network: st.ip_addresses(network=network)),
)


def plain(address: IPAddress) -> IPAddress:
    """An oracle of its own for IPv4 inside of IPv6, by the text of the address."""
    if address.version == 6:
        words = address.exploded.split(":")
        if words[:6] in (["0000"] * 5 + ["ffff"], ["0064", "ff9b"] + ["0000"] * 4):
            return ipaddress.IPv4Address(bytes.fromhex("".join(words[6:])))
    return address


@given(address=ips)
@settings(max_examples=100)
@example(address=ipaddress.ip_address("169.254.169.254"))
@example(address=ipaddress.ip_address("::ffff:169.254.169.254"))
@example(address=ipaddress.ip_address("64:ff9b::7f00:1"))
@example(address=ipaddress.ip_address("::7f00:1"))
@example(address=ipaddress.ip_address("0.0.0.0"))  # noqa: S104 - an address that is refused
@example(address=ipaddress.ip_address("::"))
@example(address=ipaddress.ip_address("::1"))
@example(address=ipaddress.ip_address("8.8.8.8"))
@example(address=ipaddress.ip_address("::ffff:8.8.8.8"))
@example(address=ipaddress.ip_address("2606:4700::1111"))
@example(address=ipaddress.ip_address("255.255.255.255"))
@example(address=ipaddress.ip_address("100.64.0.1"))
def test_only_global_addresses_are_reached(address: IPAddress) -> None:
    real = plain(address)
    ours = check_address(address, private=False)
    if ours:
        assert real.is_global
        assert not any((real.is_private, real.is_loopback, real.is_link_local, real.is_multicast))
        assert not any((real.is_reserved, real.is_unspecified))
    elif real.is_global:
        assert any(real in network for network in STRICTER) or real not in UNICAST
    assert check_address(address, private=True) >= ours


@given(address=ips)
@settings(max_examples=100)
@example(address=ipaddress.ip_address("127.0.0.1"))
@example(address=ipaddress.ip_address("10.1.2.3"))
@example(address=ipaddress.ip_address("fd00::1"))
@example(address=ipaddress.ip_address("169.254.169.254"))
@example(address=ipaddress.ip_address("fe80::1"))
@example(address=ipaddress.ip_address("::ffff:127.0.0.1"))
def test_private_hosts_open_private_networks_and_nothing_else(address: IPAddress) -> None:
    real = plain(address)
    if check_address(address, private=True) and not check_address(address, private=False):
        assert real.is_private or real in ipaddress.ip_network("100.64.0.0/10")
        assert not any((real.is_link_local, real.is_multicast, real.is_unspecified))
        assert real.version == 4 or real.is_loopback or real in ipaddress.ip_network("fc00::/7")


@pytest.mark.parametrize(
    ("uri", "host", "port"),
    [
        ("https://media.example.org/a.jpg", "media.example.org", 443),
        ("http://MEDIA.example.org:80/a.jpg?x=1#f", "media.example.org", 80),
        ("https://media.example.org./图/a.jpg", "media.example.org", 443),
        ("http://other.example.org:8080", "other.example.org", 8080),
        ("https://x.y.cdn.example.org/", "x.y.cdn.example.org", 443),
        ("http://10.0.0.5/", "10.0.0.5", 80),
        ("http://[2001:db8:0::5]:90/", "2001:db8:0::5", 90),
        ("https://media.example.org?x=a@b", "media.example.org", 443),
    ],
)
def test_what_the_rules_allow(uri: str, host: str, port: int) -> None:
    target = target_of(uri, RULES)
    assert (target.host, target.port) == (host, port)


REFUSED = [
    ("http://other.example.org/", 403),  # its entry names another port
    ("http://media.example.org:8080/", 403),
    ("https://cdn.example.org/", 403),  # the suffix has labels before it
    ("https://xcdn.example.org/", 403),
    ("https://media.example.org.evil.net/", 403),
    ("http://10.0.0.6/", 403),
    ("ftp://media.example.org/", 403),
    ("gopher://media.example.org/", 403),
    ("s3://media.example.org/a", 403),
    ("javascript:alert(1)", 403),
    ("https://evil.net@media.example.org/", 422),
    ("https://media.example.org@evil.net/", 422),
    ("https://media.example.org:443@evil.net/", 422),
    ("https://@media.example.org/", 422),
    ("https://evil.net\\@media.example.org/", 422),
    ("https://media.example.org\\.evil.net/", 422),
    ("https://evil.net /", 422),
    (" https://media.example.org/", 422),
    ("https://media.example.org/\r\nHost: evil.net", 422),
    ("https://media.example.org\t/", 422),
    ("https:///etc/passwd", 422),
    ("https:media.example.org", 422),
    ("https:user@media.example.org", 422),
    ("//media.example.org/", 422),
    ("media.example.org/a.jpg", 422),
    ("", 422),
    ("http://2130706433/", 422),
    ("http://0x7f000001/", 422),
    ("http://0x7f.1/", 422),
    ("http://0177.0.0.1/", 422),
    ("http://127.1/", 422),
    ("http://127.0.0.1./", 422),
    ("http://10.0.0.05/", 422),
    ("http://１０.0.0.5/", 422),
    ("http://[::1%25eth0]/", 422),
    ("http://[::ffff:7f00:1/", 422),
    ("http://media..example.org/", 422),
    ("http://%6dedia.example.org/", 422),
    ("http://media.example.org:99999/", 403),
    ("http://media.example.org:x/", 422),
    ("https://media.example.org/" + "a" * 9000, 422),
]


@pytest.mark.parametrize(("uri", "status"), REFUSED)
def test_what_is_refused(uri: str, status: int) -> None:
    with pytest.raises(ProblemError) as refusal:
        target_of(uri, RULES)
    assert refusal.value.status == status
    assert len(refusal.value.detail) < 400


@given(
    uri=st.one_of(
        st.text(max_size=60), st.text("htps:/@\\[]%.0123456789abx?#", max_size=40).map(lambda end: f"http://{end}")
    )
)
@settings(max_examples=100)
def test_any_text_gives_a_target_or_a_refusal(uri: str) -> None:
    rules = UriRules(schemes=("http",), hosts=("a.b", "*.b"))
    with contextlib.suppress(ProblemError):
        target = target_of(uri, rules)
        assert target.host == "a.b" or target.host.endswith(".b")
        assert target.port == 80
        assert not target.url.userinfo


def test_by_default_nothing_is_fetched() -> None:
    with pytest.raises(ProblemError, match="fetches nothing by URI"):
        target_of("https://example.org/a.jpg", UriRules())
    with pytest.raises(ProblemError, match="scheme http are not fetched; allowed: https"):
        target_of("http://a.b/", UriRules(hosts=("a.b",)))


@pytest.mark.parametrize(
    "entry", ["", "*", "*.", "http://a", "a/b", "a:0", "a:70000", "a b", "a@b", "图.cn", "::1", "a:b", "a*.b"]
)
def test_entries_that_are_no_hosts(entry: str) -> None:
    with pytest.raises(ValidationError, match="no host, host:port"):
        UriRules(hosts=(entry,))


def test_private_hosts_without_a_port_hold_for_all() -> None:
    rules = UriRules(hosts=("a.b:81", "a.b:82"), private_hosts=("a.b", "c.b:80"))
    assert rules.allow_private("a.b", 81)
    assert rules.allow_private("c.b", 80)
    assert not rules.allow_private("c.b", 81)
    assert not rules.allow("c.b", 80, scheme="http")  # to be private opens nothing by itself


def test_messages_hold_no_secrets() -> None:
    assert shown("https://user:secret@a.b/c.jpg?signature=secret#secret") == "https://a.b/c.jpg"
    assert shown("https://a.b/\x1b[31m\n") == "https://a.b/?[31m?"
    assert len(shown("https://a.b/" + "c" * 500)) < 130
