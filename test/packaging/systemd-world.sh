#!/bin/bash
# Runs as the first process of new namespaces (pid, mount, net, ipc, uts, cgroup) and becomes a systemd with netloom's
# units, on a private copy of this machine's files.
#   systemd-world.sh DIST UNITS OUT    it runs OUT/probe, and writes its output to OUT/log
set -euo pipefail
dist=$1 units=$2 out=$3

mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
root=/mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work $root
mount -t proc proc $root/proc
mount -t sysfs sysfs $root/sys
mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
mount -t tmpfs tmpfs $root/run
mount -t tmpfs -o mode=755 tmpfs $root/dev
mkdir $root/dev/pts $root/dev/shm $root/dev/net
for device in null zero full random urandom tty net/tun; do
  touch $root/dev/$device
  mount --bind /dev/$device $root/dev/$device
done
mkdir -p $root/srv/dist $root/srv/out
mount --bind "$dist" $root/srv/dist
mount --bind "$out" $root/srv/out
rm -rf $root/opt/cni $root/etc/cni $root/etc/netloom $root/var/lib/netloom $root/var/lib/cni
PATH=$PATH chroot $root /srv/dist/netloom install >/dev/null

# Only what the units ask for, without the machine's own services.
mount -t tmpfs tmpfs $root/etc/systemd/system
cp "$units"/* $root/etc/systemd/system/
for unit in systemd-udevd systemd-journald systemd-tmpfiles-setup systemd-logind; do
  ln -s /dev/null $root/etc/systemd/system/$unit.service
done
for unit in systemd-journald.socket systemd-journald-dev-log.socket; do ln -s /dev/null $root/etc/systemd/system/$unit; done
cat >$root/etc/systemd/system/probe.service <<'UNIT'
[Unit]
Wants=netloom-agent.socket
After=netloom-agent.socket
[Service]
Type=oneshot
ExecStart=/bin/bash /srv/out/probe
ExecStopPost=/bin/systemctl --no-block exit 0
StandardOutput=file:/srv/out/log
StandardError=file:/srv/out/errors
UNIT

cd $root
mkdir -p old
pivot_root . old
umount -l /old
export container=test
exec /lib/systemd/systemd --system --unit=probe.service --log-target=console --show-status=no
