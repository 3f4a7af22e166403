#!/bin/sh
# Run by mmdebstrap with the new root as $1, after the essential packages and before all others: what has to lie there
# before the kernel's package builds its initramfs.
set -eu
root=$1

mkdir -p "$root/etc/initramfs-tools/conf.d" "$root/etc/initramfs-tools/hooks"

# Only the drivers named below: the usual initramfs ("most") is four times as large and slow to unpack when emulated.
cat >"$root/etc/initramfs-tools/conf.d/panal" <<'EOF'
MODULES=list
RESUME=none
COMPRESS=lz4
EOF

cat >"$root/etc/initramfs-tools/hooks/panal" <<'EOF'
#!/bin/sh
# Drivers of every controller a virtual machine may put the root disk on.
[ "$1" = prereqs ] && exit 0
. /usr/share/initramfs-tools/hook-functions
manual_add_modules ext4 crc32c_generic \
	virtio_pci virtio_mmio virtio_blk virtio_scsi sd_mod sr_mod \
	ata_piix ahci nvme \
	sym53c8xx megaraid_sas mptspi mptsas vmw_pvscsi \
	xhci_pci ehci_pci uhci_hcd usb_storage uas
EOF
chmod 755 "$root/etc/initramfs-tools/hooks/panal"
