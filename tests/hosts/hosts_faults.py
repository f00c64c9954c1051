"""What can happen to hosts and the network between them."""

import itertools
from concurrent.futures import ThreadPoolExecutor

from hosts_story import Fault, others
from lab import Host, Lab


def isolated(lab: Lab, host: Host, seconds: float) -> Fault:
    """No packet between a host and any other."""

    def begin() -> None:
        for other in others(lab, host):
            lab.cut(host, other)

    return Fault(f"{host.name} cut off from all for {seconds:g} s", begin, lab.heal, seconds)


def parted(lab: Lab, one: Host, other: Host, seconds: float) -> Fault:
    """No packet between two hosts, which both reach the third."""
    what = f"{one.name} and {other.name} do not reach each other for {seconds:g} s"
    return Fault(what, lambda: lab.cut(one, other), lab.heal, seconds)


def deaf(lab: Lab, host: Host, seconds: float) -> Fault:
    """A host sends to all and hears nobody."""

    def begin() -> None:
        for other in others(lab, host):
            lab.cut_one_way(other, host)

    return Fault(f"{host.name} hears nobody for {seconds:g} s", begin, lab.heal, seconds)


def mute(lab: Lab, host: Host, seconds: float) -> Fault:
    """A host hears all and is heard by nobody."""

    def begin() -> None:
        for other in others(lab, host):
            lab.cut_one_way(host, other)

    return Fault(f"{host.name} is heard by nobody for {seconds:g} s", begin, lab.heal, seconds)


def shattered(lab: Lab, seconds: float) -> Fault:
    """Nobody reaches anybody: no majority anywhere."""

    def begin() -> None:
        for one, other in itertools.combinations(lab.hosts, 2):
            lab.cut(one, other)

    return Fault(f"nobody reaches anybody for {seconds:g} s", begin, lab.heal, seconds)


def paused(lab: Lab, hosts: list[Host], seconds: float) -> Fault:
    """Hosts stand still, with all that is on them, and go on as if nothing had happened."""
    names = " ".join(host.name for host in hosts)
    return Fault(
        f"{names} frozen for {seconds:g} s",
        lambda: all_at_once(lab, "pause", hosts),
        lambda: all_at_once(lab, "resume", hosts),
        seconds,
    )


def without_power(lab: Lab, hosts: list[Host], seconds: float) -> Fault:
    """Power is lost, not switched off; it is back when the hosts answer to ssh."""
    names = " ".join(host.name for host in hosts)
    return Fault(
        f"{names} without power for {seconds:g} s",
        lambda: all_at_once(lab, "kill", hosts),
        lambda: all_at_once(lab, "boot", hosts),
        seconds,
    )


def all_at_once(lab: Lab, what: str, hosts: list[Host]) -> None:
    """Do something to several hosts at the same moment."""
    with ThreadPoolExecutor(len(hosts)) as pool:
        list(pool.map(lambda host: lab.run(what, host.name), hosts))
