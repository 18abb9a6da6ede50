"""Classification of IP addresses as public or not."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

# IANA's special-purpose address registry, as whole blocks. Python's `is_global` differs
# between versions, and has exceptions for a few services.
_NOT_PUBLIC_4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by a carrier's customers
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, and with it most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocols, and one more cloud's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
# The only range of IPv6 that is allocated for public addresses.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocols, and Teredo's tunnels to IPv4
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4's tunnels to IPv4
        "3fff::/20",  # documentation
    )
)


def is_public(address: Address) -> bool:
    """Return whether `address` is reachable on the public Internet.

    Private, loopback, link-local (with the clouds' metadata), shared, multicast,
    reserved and documentation ranges are not public. Neither are IPv6 addresses that
    embed an IPv4 address, except IPv4-mapped ones, which count as the IPv4 address.
    """
    if isinstance(address, IPv4Address):
        return not any(address in block for block in _NOT_PUBLIC_4)
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    special = any(address in block for block in _NOT_PUBLIC_6)
    return address in _GLOBAL_UNICAST and not special


def parsed(text: str) -> Address | None:
    """Return `text` as an address, or None unless it is one in the usual notation."""
    # A zone (`fe80::1%eth0`) names an interface of this machine.
    if "%" in text:
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None
