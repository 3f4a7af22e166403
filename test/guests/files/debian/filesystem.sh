#!/bin/sh
# Makes the root file system: filesystem.sh TAR DIRECTORY IMAGE OFFSET KIB UUID
# Unpacks TAR into DIRECTORY and writes it as an ext4 file system of KIB KiB to IMAGE, from byte OFFSET on. Run as root
# or by fakeroot, in one go, so that mke2fs sees the owners that tar has set.
set -eu
PATH=$PATH:/usr/sbin:/sbin

mkdir "$2"
tar --extract --numeric-owner --file "$1" --directory "$2" --exclude './dev/*' --exclude './proc/*' --exclude './sys/*'

# The features are spelt out because newer programs' defaults include some that bookworm's GRUB cannot read.
mke2fs -q -F -t ext4 -b 4096 -m 1 -L root -U "$6" -d "$2" \
	-O none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum \
	-E "offset=$4,lazy_itable_init=0,lazy_journal_init=0" "$3" "${5}k"
