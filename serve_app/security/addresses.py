"""Which addresses of the Internet Protocol are anybody's, and which are ours alone."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

# The only part of IPv6 that is given out to the public (IANA IPv6 address space).
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# What Python calls global but leads to addresses inside of an address, or to relays:
# 6to4 (RFC 3056) and Teredo (RFC 4380), and the 6to4 relays (RFC 7526).
_TUNNELS_6 = (IPv6Network("2002::/16"), IPv6Network("2001::/32"))
_TUNNELS_4 = (IPv4Network("192.88.99.0/24"),)


def is_public(address: Address) -> bool:
    """Whether an address is one that anybody on the Internet could ask.

    Private, loopback, link-local (with it the clouds' metadata), shared, multicast,
    reserved and documentation ranges are not, and neither is an IPv6 address that
    stands for one of IPv4, but for the mapped ones, which are what they map.
    """
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        return (
            address in _GLOBAL_UNICAST
            and address.is_global
            and not any(address in tunnel for tunnel in _TUNNELS_6)
        )
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in tunnel for tunnel in _TUNNELS_4)
    )


def parsed(text: str) -> Address | None:
    """Return the address that `text` is, in the one usual way to write it, if any."""
    # A zone (`fe80::1%eth0`) names an interface of this machine.
    if "%" in text:
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None
