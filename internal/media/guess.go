package media

import (
	"bytes"

	"github.com/panalvm/panal/api"
)

// headSize is how much of a disk is read to guess what it is: a boot sector,
// the partition table, and an optical disc's volume descriptor.
const headSize = 64 << 10

// Guess is what a disk's first sectors tell about the machine it comes from.
type Guess struct {
	Kind     api.DriveKind
	Firmware api.FirmwareType // empty when nothing can be said
}

// guess looks at the beginning of a disk of some size.
func guess(head []byte, size api.Size) Guess {
	g := Guess{Kind: api.Disk}
	switch {
	case has(head, 0x8001, "CD001"):
		g.Kind = api.Optical
		return g
	case size == 1440*api.KiB || size == 2880*api.KiB || size == 720*api.KiB:
		g.Kind = api.FloppyDiskette
		return g
	case !has(head, 510, "\x55\xaa"):
		return g
	}
	if table := gptEntries(head); table != nil {
		g.Firmware = guessGPT(table)
	} else if len(bytes.Trim(head[:440], "\x00")) > 0 {
		// A boot sector without code is no boot loader's.
		g.Firmware = api.BIOS
	}
	return g
}

// Partition types of the GPT, as they are stored (UEFI 2.10, section 5.3.3,
// and GRUB's for a BIOS): the first three fields are little-endian.
const (
	efiSystem = "\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b"
	biosBoot  = "Hah!IdontNeedEFI"
)

// gptEntrySize is the usual size of an entry; other sizes are legal and unseen.
const gptEntrySize = 128

// gptEntries is the partition entries of a GPT, nil when there is none. They
// begin one sector after the header, which is in the second sector.
func gptEntries(head []byte) []byte {
	for _, sector := range []int{512, 4096} {
		if has(head, sector, "EFI PART") && len(head) > 2*sector {
			return head[2*sector:]
		}
	}
	return nil
}

// guessGPT says what boots from a disk with a GPT. Its boot sector says
// nothing: some tools write code there for any disk.
func guessGPT(entries []byte) api.FirmwareType {
	var firmware api.FirmwareType
	for ; len(entries) >= gptEntrySize; entries = entries[gptEntrySize:] {
		switch {
		case has(entries, 0, biosBoot):
			return api.BIOS
		case has(entries, 0, efiSystem):
			firmware = api.UEFI
		}
	}
	return firmware
}

func has(head []byte, at int, text string) bool {
	return len(head) >= at+len(text) && string(head[at:at+len(text)]) == text
}
