"""Who is one peer, and how places are shared among them."""

import ipaddress

import pytest

from streamferry.net.peers import NoPlace, Places, is_within, peer_of


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("no address " * 99, ("no address " * 99)[:64]),
    ],
)
def test_an_ipv6_network_is_one_peer(address: str, peer: str) -> None:
    """Of 64 bits, which is what one customer has; what is no address is taken as it is, but not without end."""
    assert peer_of(address) == peer


def test_networks_hold_addresses_in_both_forms() -> None:
    """A socket for both families shows IPv4 addresses as IPv6 ones."""
    networks = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1")]
    assert is_within("10.1.2.3", networks)
    assert is_within("::ffff:10.1.2.3", networks)
    assert is_within("::1", networks)
    assert not is_within("11.0.0.1", networks)
    assert not is_within("unix", networks)


def test_places_are_shared() -> None:
    """One peer gets its number, all together theirs, and what is given back is there again."""
    places = Places(3, 2)
    with places.place("a"), places.place("a"):
        with pytest.raises(NoPlace):
            places.take("a")
        places.take("b")
        with pytest.raises(NoPlace):
            places.take("c")
    places.give_back("b")
    assert places.taken == 0
