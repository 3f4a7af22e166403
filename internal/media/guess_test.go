package media

import (
	"syscall"
	"testing"

	"github.com/panalvm/panal/api"
)

// blocks is how much of a disk a file takes.
func blocks(t *testing.T, path string) int64 {
	t.Helper()
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Blocks * 512
}

// sectors makes a disk's head with texts at places.
func sectors(texts map[int]string) []byte {
	head := make([]byte, headSize)
	for at, text := range texts {
		copy(head[at:], text)
	}
	return head
}

func TestGuesses(t *testing.T) {
	const signature, code = "\x55\xaa", "\xfa\x31\xc0"
	for name, c := range map[string]struct {
		head []byte
		size api.Size
		want Guess
	}{
		"boot code":             {sectors(map[int]string{0: code, 510: signature}), api.GiB, Guess{api.Disk, api.BIOS}},
		"partitioned, no code":  {sectors(map[int]string{510: signature}), api.GiB, Guess{api.Disk, ""}},
		"empty":                 {sectors(nil), api.GiB, Guess{api.Disk, ""}},
		"GPT with ESP":          {sectors(map[int]string{510: signature, 512: "EFI PART", 1024: efiSystem}), api.GiB, Guess{api.Disk, api.UEFI}},
		"GPT with code and ESP": {sectors(map[int]string{0: code, 510: signature, 512: "EFI PART", 1024: efiSystem}), api.GiB, Guess{api.Disk, api.UEFI}},
		"GPT that boots both":   {sectors(map[int]string{0: code, 510: signature, 512: "EFI PART", 1024: biosBoot, 1152: efiSystem}), api.GiB, Guess{api.Disk, api.BIOS}},
		"GPT of 4K sectors":     {sectors(map[int]string{510: signature, 4096: "EFI PART", 8192: efiSystem}), api.GiB, Guess{api.Disk, api.UEFI}},
		"disc":                  {sectors(map[int]string{0x8001: "CD001"}), api.GiB, Guess{api.Optical, ""}},
		"bootable disc":         {sectors(map[int]string{0: code, 510: signature, 0x8001: "CD001"}), api.GiB, Guess{api.Optical, ""}},
		"diskette":              {sectors(map[int]string{0: code, 510: signature}), 1440 * api.KiB, Guess{api.FloppyDiskette, ""}},
		"tiny":                  {[]byte{1, 2, 3}, 512, Guess{api.Disk, ""}},
	} {
		if got := guess(c.head, c.size); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func FuzzGuess(f *testing.F) {
	f.Add(sectors(map[int]string{510: "\x55\xaa", 512: "EFI PART"})[:2000], int64(1<<20))
	f.Fuzz(func(_ *testing.T, head []byte, size int64) { guess(head, api.Size(size)) })
}
