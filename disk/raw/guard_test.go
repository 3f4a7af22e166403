package raw_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
	"github.com/panalvm/panal/disk/raw"
)

// signed is a format with a signature at a place; below zero it counts from
// the end.
func signed(name string, place int64) *disk.Format {
	return &disk.Format{Name: name, Probe: func(s disk.Sample) disk.Confidence {
		at := place
		if at < 0 {
			at += s.Size
		}
		have := make([]byte, len(name))
		if n, _ := s.ReadAt(have, at); n == len(name) && string(have) == name {
			return disk.Likely
		}
		return disk.No
	}}
}

// signedFormats are like qcow2, vdi, vhdx and a fixed vhd, and raw.
var signedFormats = []*disk.Format{
	signed("QFI\xfb", 0), signed("\x7f\x10\xda\xbe", 0x40), signed("regi", 192<<10), signed("conectix", -512), raw.Format,
}

// attempts are writes that would make a disk of 4 MiB another format's.
var attempts = []struct {
	name   string
	off    int64
	text   string
	resize int64 // 0 for none
}{
	{name: "at the start", text: "QFI\xfb"},
	{name: "across the place", off: 0x30, text: string(bytes.Repeat([]byte("."), 16)) + "\x7f\x10\xda\xbe...."},
	{name: "behind the head", off: 192 << 10, text: "regi"},
	{name: "at the end", off: 4<<20 - 512, text: "conectix"},
	{name: "where the end will be", off: 2<<20 - 512, text: "conectix", resize: 2 << 20},
	{name: "where the end was not", off: 4<<20 - 512 - 1024, text: "conectix", resize: 4<<20 - 1024},
}

func TestAGuestCannotMakeALookalike(t *testing.T) {
	for _, a := range attempts {
		for _, named := range []bool{false, true} {
			fs := memfs.New()
			fs.Put("disk.img", bytes.Repeat([]byte{0xaa}, 4<<20))
			o := disk.Options{Formats: signedFormats, Write: true}
			if named {
				o.Format = "raw"
			}
			img := open(t, fs, "disk.img", o)
			if guessed := disk.Describe(img).Guessed; guessed == named {
				t.Errorf("guessed is %v, and the format was named: %v", guessed, named)
			}
			before := fs.Bytes("disk.img")
			_, err := img.(disk.Writer).WriteAt([]byte(a.text), a.off)
			if a.resize != 0 {
				if err != nil {
					t.Fatalf("%s: %v", a.name, err)
				}
				before = fs.Bytes("disk.img")
				err = disk.Resize(img, a.resize)
			}
			switch changed := !bytes.Equal(before, fs.Bytes("disk.img")); {
			case named && err != nil:
				t.Errorf("%s: with the format named: %v", a.name, err)
			case !named && !errors.Is(err, disk.ErrLookalike):
				t.Errorf("%s: %v; it should be ErrLookalike", a.name, err)
			case changed != named:
				t.Errorf("%s: the file was changed: %v; the format was named: %v", a.name, changed, named)
			}
			shut(t, img)
		}
	}
}

// TestTwoHalvesMakeNoLookalike writes a signature in pieces, and completes one
// by zeroing.
func TestTwoHalvesMakeNoLookalike(t *testing.T) {
	fs := memfs.New()
	fs.Put("disk.img", bytes.Repeat([]byte{0xaa}, 1<<20))
	zeros := &disk.Format{Name: "zeros", Probe: func(s disk.Sample) disk.Confidence {
		if bytes.HasPrefix(s.Head, []byte("ZZ\x00\x00")) {
			return disk.Possible
		}
		return disk.No
	}}
	img := open(t, fs, "disk.img", disk.Options{Formats: append([]*disk.Format{zeros}, signedFormats...), Write: true})
	defer shut(t, img)
	w := img.(disk.Writer)
	for _, text := range []string{"ZZ", "QF"} {
		if _, err := w.WriteAt([]byte(text), 0); err != nil {
			t.Fatal(err)
		}
		if text == "QF" {
			break
		}
		if err := disk.Zero(img, 2, 100); !errors.Is(err, disk.ErrLookalike) {
			t.Errorf("zeroing: %v", err)
		}
		if err := disk.Discard(img, 2, 100); !errors.Is(err, disk.ErrLookalike) {
			t.Errorf("discarding: %v", err)
		}
	}
	if _, err := w.WriteAt([]byte("I\xfb"), 2); !errors.Is(err, disk.ErrLookalike) {
		t.Errorf("the second half: %v", err)
	}
	if _, err := w.WriteAt([]byte("I!"), 2); err != nil {
		t.Errorf("another second half: %v", err)
	}
	if _, err := w.WriteAt([]byte("QFI\xfb"), 4096); err != nil {
		t.Errorf("a signature where none is looked for: %v", err)
	}
	if _, err := img.(disk.HostCopier).CopyHost(0, nil, 0, 4096); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("copying what is not looked at: %v", err)
	}
}
