package guests

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/google/uuid"

	"github.com/panalvm/panal/test/guests/internal/gpt"
)

// The Debian guest's disk:
//
//	0       partition table, with GRUB's first sector in the protective MBR
//	1 MiB   BIOS boot partition: GRUB's core, which the first sector loads
//	2 MiB   EFI system partition: shim and the signed GRUB under the names for removable media
//	66 MiB  root file system
const (
	mib = 1 << 20

	diskSize  = 2048 * mib
	biosStart = 1 * mib
	biosSize  = 1 * mib
	espStart  = biosStart + biosSize
	espSize   = 64 * mib
	rootStart = espStart + espSize
	rootSize  = diskSize - rootStart - mib
)

// Identities on the disk. They are constants because GRUB's and the kernel's configuration name them.
const (
	diskUUID = "b1a5ed00-7061-4e61-8c00-0000000000ff"
	rootUUID = "b1a5ed00-7061-4e61-8c00-000000000001"
	espUUID  = "b1a5ed00-7061-4e61-8c00-000000000002"
	biosUUID = "b1a5ed00-7061-4e61-8c00-000000000003"
	espID    = "70616e61" // the FAT file system's serial number
)

// disk is the image while it is made.
type disk struct {
	path    string // of the image
	root    string // directory with the system's files
	scripts string // directory with the embedded scripts
}

// make makes the image of a system's archive, which it unpacks into d.root.
func (d disk) make(ctx context.Context, archive string) error {
	if err := d.partition(); err != nil {
		return err
	}
	if err := d.makeRoot(ctx, archive); err != nil {
		return fmt.Errorf("make the root file system: %w", err)
	}
	if err := d.makeESP(ctx); err != nil {
		return fmt.Errorf("make the EFI system partition: %w", err)
	}
	if err := d.embedGRUB(); err != nil {
		return fmt.Errorf("make the disk start by BIOS: %w", err)
	}
	return nil
}

func (d disk) partition() error {
	file, err := os.Create(d.path)
	if err != nil {
		return fmt.Errorf("make the disk: %w", err)
	}
	defer file.Close()
	if err := file.Truncate(diskSize); err != nil {
		return fmt.Errorf("make the disk: %w", err)
	}
	return gpt.Write(file, diskSize, uuid.MustParse(diskUUID), []gpt.Partition{
		{Name: "bios", Type: gpt.BIOSBoot, ID: uuid.MustParse(biosUUID), Start: biosStart, Size: biosSize},
		{Name: "esp", Type: gpt.EFISystem, ID: uuid.MustParse(espUUID), Start: espStart, Size: espSize},
		{Name: "root", Type: gpt.LinuxRoot, ID: uuid.MustParse(rootUUID), Start: rootStart, Size: rootSize},
	})
}

func (d disk) makeRoot(ctx context.Context, archive string) error {
	command := []string{
		"sh", filepath.Join(d.scripts, "filesystem.sh"), archive, d.root, d.path,
		strconv.Itoa(rootStart), strconv.Itoa(rootSize / 1024), rootUUID,
	}
	if os.Geteuid() != 0 {
		command = append([]string{"fakeroot"}, command...)
	}
	return runTool(ctx, command[0], command[1:]...)
}

// makeESP fills the EFI system partition with mtools, which work on part of a file. Firmware starts BOOTX64.EFI, that
// is shim, which starts grubx64.efi beside it, which reads EFI/debian/grub.cfg.
func (d disk) makeESP(ctx context.Context) error {
	image := d.path + "@@" + strconv.Itoa(espStart)
	steps := [][]string{
		{"mformat", "-i", image, "-F", "-N", espID, "-v", "ESP", "-T", strconv.Itoa(espSize / gpt.SectorSize), "-c", "1", "::"},
		{"mmd", "-i", image, "::/EFI", "::/EFI/BOOT", "::/EFI/debian"},
		{"mcopy", "-i", image, d.in("usr/lib/shim/shimx64.efi.signed"), "::/EFI/BOOT/BOOTX64.EFI"},
		{"mcopy", "-i", image, d.in("usr/lib/shim/mmx64.efi.signed"), "::/EFI/BOOT/mmx64.efi"},
		{"mcopy", "-i", image, d.in("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"), "::/EFI/BOOT/grubx64.efi"},
		{"mcopy", "-i", image, d.in("boot/grub/esp/grub.cfg"), "::/EFI/debian/grub.cfg"},
	}
	for _, step := range steps {
		if err := runTool(ctx, step[0], step[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// in is the path of one of the system's files.
func (d disk) in(path string) string { return filepath.Join(d.root, path) }

// Places in GRUB's boot sector and in the first sector of its core, from grub-core/boot/i386/pc/boot.S and diskboot.S.
// The core's first sector loads the rest of it by a list of blocks that ends that sector.
const (
	bootCodeSize       = 440  // the rest of the sector belongs to the partition table
	bootCoreSector     = 0x5c // where the core is, in sectors
	coreBlockStart     = gpt.SectorSize - 12
	coreBlockSectors   = gpt.SectorSize - 4
	coreMaximumSectors = biosSize / gpt.SectorSize
)

// embedGRUB does what grub-bios-setup does, without the need for a device: it puts GRUB's core into the BIOS boot
// partition and the boot sector that loads it into the MBR.
func (d disk) embedGRUB() error {
	boot, err := os.ReadFile(d.in("boot/grub/boot.img"))
	if err != nil {
		return err
	}
	core, err := os.ReadFile(d.in("boot/grub/core.img"))
	if err != nil {
		return err
	}
	sectors := (len(core) + gpt.SectorSize - 1) / gpt.SectorSize
	if len(boot) < gpt.SectorSize || sectors < 2 || sectors > coreMaximumSectors {
		return errors.New("the sizes of GRUB's files are not as expected")
	}
	const start = biosStart / gpt.SectorSize
	binary.LittleEndian.PutUint64(boot[bootCoreSector:], start)
	binary.LittleEndian.PutUint64(core[coreBlockStart:], start+1)
	binary.LittleEndian.PutUint16(core[coreBlockSectors:], uint16(sectors-1))
	return d.writeAt(boot[:bootCodeSize], 0, core, biosStart)
}

// writeAt writes the boot sector's code and the core into the image.
func (d disk) writeAt(boot []byte, bootAt int64, core []byte, coreAt int64) error {
	file, err := os.OpenFile(d.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.WriteAt(boot, bootAt); err != nil {
		return err
	}
	if _, err := file.WriteAt(core, coreAt); err != nil {
		return err
	}
	return file.Close()
}
