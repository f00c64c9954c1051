"""Certificates by the role: a running cluster moves to TLS, its certificates are renewed, it moves back."""

import pytest
from lab import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plain(lab, wheel):
    """Three hosts with a cluster that speaks no TLS."""
    recap = lab.play("site.yml", wheel=wheel, croncord_tls=False)
    assert (recap.failed, recap.unreachable) == (0, 0), recap.output
    return lab


def spoken(lab, host):
    """Return what the host answers to HTTP and to HTTPS."""
    asked = "curl -s -o /dev/null -w '%{http_code}' --cacert /etc/croncord/ca.pem"
    address = f"{host.address}:8470/readyz"
    return [lab.ssh(host, f"{asked} {way}://{address} || true")[-3:] for way in ("http", "https")]


def since(lab, host):
    return lab.ssh(host, "systemctl show croncord -p ExecMainStartTimestampMonotonic")


def serial(lab, host):
    return lab.ssh(host, "sha256sum /etc/croncord/cert.pem")


def reloads(lab, host):
    said = "journalctl -u croncord | grep -c 'new connections use the certificate' || true"
    return int(lab.ssh(host, said))


def test_a_cluster_without_tls_is_not_parted_by_a_hasty_run(plain, wheel):
    recap = plain.play("site.yml", wheel=wheel)
    assert recap.failed == 3
    assert "croncord_tls_mode=allow" in recap.output
    assert [spoken(plain, host)[0] for host in plain.hosts] == ["200"] * 3


def test_it_moves_to_tls_by_two_runs_and_each_is_idempotent(plain, wheel):
    for mode, answers in (("allow", ["200", "200"]), ("require", ["400", "200"])):
        recap = plain.play("site.yml", wheel=wheel, croncord_tls_mode=mode)
        assert (recap.failed, recap.unreachable) == (0, 0), recap.output
        assert [spoken(plain, host) for host in plain.hosts] == [answers] * 3
        recap = plain.play("site.yml", wheel=wheel, croncord_tls_mode=mode)
        assert (recap.changed, recap.failed) == (0, 0), recap.output
    for host in plain.hosts:
        urls = {node["http"] for node in plain.get(host, "/api/v1/nodes")["items"]}
        assert urls == {plain.url(each) for each in plain.hosts}
        assert "All is well" in plain.ssh(host, "croncord cluster status")


def test_keys_are_each_hosts_own_and_the_authoritys_key_is_on_no_host(plain):
    keys = {plain.ssh(host, "cat /etc/croncord/key.pem") for host in plain.hosts}
    assert len(keys) == 3
    assert {
        plain.ssh(host, "stat -c %a /etc/croncord/key.pem").strip() for host in plain.hosts
    } == {"600"}
    secret = (plain.tls / "ca.key").read_text().splitlines()[1]
    for host in plain.hosts:
        assert plain.ssh(host, f"grep -rl '{secret}' /etc/croncord /var/lib/croncord || true") == ""


def test_certificates_are_renewed_without_a_restart(plain, wheel):
    before = {host: (since(plain, host), serial(plain, host)) for host in plain.hosts}
    recap = plain.play("site.yml", wheel=wheel, croncord_tls_renew_days=9999)
    assert (recap.failed, recap.unreachable) == (0, 0), recap.output
    for host, (started, old) in before.items():
        assert since(plain, host) == started
        assert serial(plain, host) != old
        wait_for(lambda host=host: reloads(plain, host) > 0, 20, "the reload")
        assert plain.is_ready(host)


def test_hosts_do_not_take_a_second_authority(plain, wheel, tmp_path):
    recap = plain.play("site.yml", wheel=wheel, croncord_tls_dir=str(tmp_path))
    assert recap.failed == 3
    assert "their authority is not in" in recap.output
    assert list(tmp_path.iterdir()) == []


def test_it_moves_back_by_two_runs(plain, wheel):
    for mode, answers in (
        ({"croncord_tls_mode": "allow"}, ["200", "200"]),
        ({"croncord_tls": False}, ["200", "000"]),
    ):
        recap = plain.play("site.yml", wheel=wheel, **mode)
        assert (recap.failed, recap.unreachable) == (0, 0), recap.output
        assert [spoken(plain, host) for host in plain.hosts] == [answers] * 3
