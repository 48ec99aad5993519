"""Who counts as one sender."""

import pytest

from service.throttle import network

HOME = "2001:db8:1:2::/64"


@pytest.mark.parametrize(
    ("address", "sender"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::FFFF:C000:0207", "192.0.2.7"),
        ("0:0:0:0:0:ffff:192.0.2.7", "192.0.2.7"),
        ("64:ff9b::192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7 ", "192.0.2.7"),
        ("192.0.2.7:50123", "192.0.2.7"),
        ("[::ffff:192.0.2.7]:50123", "192.0.2.7"),
        ("2001:db8:1:2::1", HOME),
        ("2001:DB8:1:2::1", HOME),
        ("2001:0db8:0001:0002:0000:0000:0000:0001", HOME),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", HOME),
        ("[2001:db8:1:2::1]", HOME),
        ("[2001:db8:1:2::1]:443", HOME),
        ("2001:db8:1:2::1%eth0", HOME),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("64:ff9b:1::192.0.2.7", "64:ff9b:1::/64"),
        ("::1", "::/64"),
        ("127.0.0.1", "127.0.0.1"),
        ("unknown", "unknown"),
        ("", ""),
        ("300.1.1.1", "300.1.1.1"),
        ("2001:db8::1::2", "2001:db8::1::2"),
        ("\0", "\0"),
    ],
)
def test_an_address_belongs_to_a_sender_however_it_is_spelt(address: str, sender: str) -> None:
    assert network(address) == sender
