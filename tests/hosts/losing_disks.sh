#!/usr/bin/env bash
# A program that makes hosts, with disks that lose what was not synced when the plug is pulled.
#
# SIGKILL to everything on a host leaves its unsynced writes in the memory of the machine below, so
# nothing is lost that a power cut would lose. Here /var/lib/croncord of every host is an ext4 file
# system of its own in a file; when the plug is pulled it is shut down without flushing (what ext4
# offers for testing this), and mounted again, with journal replay, before the host boots.
#
# Wraps the program in CRONCORD_TEST_PLAIN_HOSTS (understands the same commands), whose hosts must be
# directory trees below CRONCORD_TEST_HOST_ROOTS, as those of systemd-nspawn are. Needs root and
# loop devices.
set -euo pipefail
plain=${CRONCORD_TEST_PLAIN_HOSTS:?names the program that makes hosts}
roots=${CRONCORD_TEST_HOST_ROOTS:?is the directory that holds the directory tree of each host}
images=$roots.disks

# A busy machine may need longer to boot hosts than the program waits for them.
patiently() { "$plain" "$@" || "$plain" "$@" || "$plain" "$@"; }
disk() { echo "$roots/$1/var/lib/croncord"; }
plug_in() { mountpoint -q "$(disk "$1")" || { mkdir -p "$(disk "$1")"; mount -o loop "$images/$1" "$(disk "$1")"; }; }
# FS_IOC_GOINGDOWN with FS_GOING_FLAGS_NOLOGFLUSH: neither data nor journal reach the disk any more.
cut_off() {
  mountpoint -q "$(disk "$1")" || return 0
  python3 -c 'import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack("I", 2))' "$(disk "$1")"
  until umount "$(disk "$1")"; do sleep 0.2; done
  # As long as anybody has it mounted it stays shut down.
  until [ -z "$(losetup --associated "$images/$1")" ]; do sleep 0.2; done
}

case ${1:-} in
  up)
    # Shared, so that an unmount here is one in the mount name spaces of the other hosts as well.
    mkdir -p "$roots"
    mountpoint -q "$roots" || { mount --bind "$roots" "$roots"; mount --make-shared "$roots"; }
    patiently up "$2" >/dev/null
    mkdir -p "$images"
    for host in $(seq -f 'node%g' 1 "$2"); do
      [ ! -e "$images/$host" ] || continue
      "$plain" kill "$host"
      truncate -s 4G "$images/$host"
      mkfs.ext4 -q "$images/$host"
      plug_in "$host"
      patiently boot "$host"
    done
    patiently up "$2" ;;
  kill) "$plain" kill "$2"; cut_off "$2" ;;
  boot) plug_in "$2"; patiently boot "$2" ;;
  down)
    found=$(ls "$images" 2>/dev/null || true)
    for host in $found; do "$plain" kill "$host"; done
    for host in $found; do cut_off "$host"; done
    ! mountpoint -q "$roots" || umount --lazy "$roots"
    rm -rf "$images"
    exec "$plain" down ;;
  *) exec "$plain" "$@" ;;
esac
