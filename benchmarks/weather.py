"""What can go wrong on a network, done to one host at a time: cut off from some, deaf to mDNS, losing packets.

The rules are nftables', in the host's own namespace, so they end with it. A host that is cut off from another neither
hears it nor reaches it, as if a cable had been pulled.
"""

from __future__ import annotations

from benchmarks.lab import Place

RULES = """
table inet weather {{
  set cut {{ type ipv4_addr; }}
  chain incoming {{
    type filter hook prerouting priority -300; policy accept;
    iif lo accept
    ip saddr @cut drop
    {mdns}
    {loss}
  }}
  chain outgoing {{
    type filter hook output priority 0; policy accept;
    ip daddr @cut drop
    {mdns}
  }}
}}
"""


def set_fair(place: Place, *, mdns: bool = True, loss_percent: int = 0) -> None:
    """Nobody is cut off; mDNS passes or not; so many packets of a hundred that come in are lost, at random."""
    rules = RULES.format(
        mdns="" if mdns else "udp dport 5353 drop",
        loss=f"meta l4proto udp numgen random mod 100 < {loss_percent} drop" if loss_percent else "",
    )
    place.run("nft", "-f", "-", given="table inet weather\ndelete table inet weather\n" + rules)


def cut(place: Place, *others: Place) -> None:
    """From now on that host has nothing to do with these; `set_fair` came first."""
    place.run("nft", "add", "element", "inet", "weather", "cut", "{", ", ".join(each.host for each in others), "}")


def join(place: Place) -> None:
    """Whoever that host was cut off from is there again."""
    place.run("nft", "flush", "set", "inet", "weather", "cut")
