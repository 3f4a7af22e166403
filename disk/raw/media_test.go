package raw_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// disc is an optical disc with these volume descriptors.
func disc(descriptors ...string) []byte {
	image := make([]byte, 32768+2048*(len(descriptors)+3))
	for i, d := range descriptors {
		copy(image[32768+2048*i:], d)
	}
	return image
}

// primary is a primary volume descriptor.
func primary(volume string) string {
	d := make([]byte, 2048)
	copy(d, "\x01CD001\x01")
	copy(d[40:72], volume+"                                ")
	return string(d)
}

// joliet is a supplementary volume descriptor with UCS-2 names.
func joliet() string {
	d := make([]byte, 2048)
	copy(d, "\x02CD001\x01")
	copy(d[88:], "%/E")
	return string(d)
}

// fat is a floppy's boot sector and the beginning of its table.
func fat(size int, parameters bool) []byte {
	image := make([]byte, size)
	if parameters {
		binary.LittleEndian.PutUint16(image[11:], 512)
		binary.LittleEndian.PutUint16(image[19:], uint16(size/512))
		image[21] = 0xfd
	} else {
		copy(image[512:], "\xfe\xff\xff")
	}
	return image
}

func mbr(size int) []byte {
	image := make([]byte, size)
	image[446], image[450], image[510], image[511] = 0x80, 0x83, 0x55, 0xaa
	return image
}

func TestWhatADiskIs(t *testing.T) {
	gpt := mbr(1 << 20)
	copy(gpt[512:], "EFI PART")
	bootSector := mbr(1 << 20)
	bootSector[446] = 0x33 // code, where an MBR has its first entry
	hybrid := disc(primary("HYBRID"))
	copy(hybrid, mbr(512))
	for name, c := range map[string]struct {
		content []byte
		variant string
		sector  int
		details []string
	}{
		"empty":              {nil, "plain", 0, nil},
		"tiny":               {make([]byte, 100), "plain", 0, nil},
		"zeros":              {make([]byte, 1<<20), "plain", 0, nil},
		"MBR":                {mbr(1 << 20), "plain", 0, []string{"partitions=MBR"}},
		"GPT":                {gpt, "plain", 0, []string{"partitions=GPT"}},
		"a boot sector":      {bootSector, "plain", 0, nil},
		"ISO 9660":           {disc(primary("DEBIAN 12"), "\xffCD001\x01"), "iso", 2048, []string{"volume=DEBIAN 12", "file system=ISO 9660"}},
		"isohybrid":          {hybrid, "iso", 2048, []string{"volume=HYBRID", "file system=ISO 9660"}},
		"bootable, Joliet":   {disc(primary("V"), "\x00CD001\x01EL TORITO SPECIFICATION", joliet(), "\xffCD001\x01"), "iso", 2048, []string{"volume=V", "boot=El Torito", "file system=ISO 9660, Joliet"}},
		"UDF bridge":         {disc(primary("B"), "\xffCD001\x01", "\x00BEA01\x01", "\x00NSR02\x01", "\x00TEA01\x01"), "iso", 2048, []string{"volume=B", "file system=ISO 9660, UDF"}},
		"UDF":                {disc("\x00BEA01\x01", "\x00NSR03\x01", "\x00TEA01\x01"), "iso", 2048, []string{"file system=UDF"}},
		"ends within":        {disc(primary("CUT"))[:32768+2048+100], "iso", 2048, []string{"volume=CUT", "file system=ISO 9660"}},
		"terminator alone":   {disc("\xffCD001\x01"), "plain", 0, nil},
		"not at the place":   {disc("", primary("LATE")), "plain", 0, nil},
		"1.44 MB":            {make([]byte, 1474560), "floppy", 512, nil},
		"2.88 MB":            {make([]byte, 2949120), "floppy", 512, nil},
		"1.2 MB":             {make([]byte, 1228800), "floppy", 512, nil},
		"720 KiB":            {make([]byte, 737280), "floppy", 512, nil},
		"360 KiB, FAT":       {fat(368640, true), "floppy", 512, nil},
		"160 KiB, FAT":       {fat(163840, false), "floppy", 512, nil},
		"360 KiB, nothing":   {make([]byte, 368640), "plain", 0, nil},
		"almost a floppy":    {make([]byte, 1474560+512), "plain", 0, nil},
		"names with rubbish": {disc(primary("A\x00\x1b[2JB")), "iso", 2048, []string{"volume=A[2JB", "file system=ISO 9660"}},
	} {
		fs := memfs.New()
		fs.Put("disk", c.content)
		img := open(t, fs, "disk", disk.Options{})
		info := disk.Describe(img)
		var details []string
		for _, d := range info.Details {
			details = append(details, d.Name+"="+d.Value)
		}
		if info.Variant != c.variant || info.SectorSize != c.sector || !slices.Equal(details, c.details) {
			t.Errorf("%s: it is a %s with sectors of %d, %q", name, info.Variant, info.SectorSize, details)
		}
		if c.variant == "floppy" && (info.Geometry == nil || info.Geometry.Size() != info.Size) {
			t.Errorf("%s: geometry %v", name, info.Geometry)
		}
		shut(t, img)
	}
}
