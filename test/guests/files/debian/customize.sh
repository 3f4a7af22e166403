#!/bin/sh
# Run by mmdebstrap with the new root as $1, after all packages: makes it a machine one can boot and log into.
# ROOT_UUID and ESP_UUID are the file systems' identities, given by the builder.
set -eu
root=$1

echo debian >"$root/etc/hostname"
printf '127.0.0.1\tlocalhost\n127.0.1.1\tdebian\n::1\tlocalhost ip6-localhost ip6-loopback\n' >"$root/etc/hosts"
echo root:panal | chroot "$root" chpasswd

cat >"$root/etc/fstab" <<EOF
UUID=$ROOT_UUID / ext4 errors=remount-ro 0 1
UUID=$ESP_UUID /boot/efi vfat umask=0077,nofail,noauto 0 0
EOF
mkdir -p "$root/boot/efi"

# An empty file, not a missing one: the machine gets an identity of its own at its first start without systemd taking
# that for a first boot, which would go through the presets of every unit.
: >"$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id"

# Every wired adapter asks for an address; what cloud-init writes (10-…) comes before this.
cat >"$root/etc/systemd/network/90-wired.network" <<'EOF'
[Match]
Type=ether

[Network]
DHCP=yes
EOF
chroot "$root" systemctl -q enable systemd-networkd.service systemd-resolved.service
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"

# cloud-init wakes only for a seed in the machine itself: without one its generator leaves it out of the boot.
cat >"$root/etc/cloud/cloud.cfg.d/90-panal.cfg" <<'EOF'
datasource_list: [ NoCloud, ConfigDrive, None ]
disable_root: false
ssh_deletekeys: false
EOF

# Nothing a test waits for, and each costs a second or more when emulated.
for unit in systemd-networkd-wait-online.service systemd-pstore.service \
	systemd-binfmt.service proc-sys-fs-binfmt_misc.automount systemd-journal-flush.service systemd-update-utmp.service \
	systemd-update-utmp-runlevel.service sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount dev-mqueue.mount \
	apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
	fstrim.timer man-db.timer logrotate.timer; do
	chroot "$root" systemctl -q mask "$unit"
done

mkdir -p "$root/boot/grub"
cat >"$root/boot/grub/grub.cfg" <<EOF
# Both ways of starting, BIOS and UEFI, come here. The links in / follow the newest kernel.
serial --unit=0 --speed=115200
terminal_output console serial
terminal_input console serial
set timeout=0
menuentry 'Debian GNU/Linux' {
	search --no-floppy --fs-uuid --set=root $ROOT_UUID
	linux /vmlinuz root=UUID=$ROOT_UUID ro console=tty0 console=ttyS0,115200 loglevel=5
	initrd /initrd.img
}
EOF

# The part of GRUB that BIOS starts, for the image's BIOS boot partition; it finds its way by the file system's identity,
# so that it works from whatever controller and place in the boot order.
cat >"$root/boot/grub/early.cfg" <<EOF
search.fs_uuid $ROOT_UUID root
set prefix=(\$root)/boot/grub
configfile \$prefix/grub.cfg
EOF
chroot "$root" grub-mkimage -O i386-pc -o /boot/grub/core.img -c /boot/grub/early.cfg -p /boot/grub \
	biosdisk part_gpt ext2 search search_fs_uuid normal configfile linux serial terminal echo
cp "$root/usr/lib/grub/i386-pc/boot.img" "$root/boot/grub/boot.img"

# What the signed GRUB of the EFI system partition reads.
mkdir -p "$root/boot/grub/esp"
cat >"$root/boot/grub/esp/grub.cfg" <<EOF
search.fs_uuid $ROOT_UUID root
set prefix=(\$root)/boot/grub
configfile \$prefix/grub.cfg
EOF

# Whoever goes on with this system gets updates.
cat >"$root/etc/apt/sources.list" <<'EOF'
deb http://deb.debian.org/debian bookworm main
deb http://deb.debian.org/debian bookworm-updates main
deb http://deb.debian.org/debian-security bookworm-security main
EOF

rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/log/*.log "$root"/var/cache/debconf/*-old
