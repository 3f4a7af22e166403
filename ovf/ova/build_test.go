package ova_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"github.com/panalvm/panal/ovf/ova"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// descriptor is a small one with a disk.
const descriptor = `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
  <References><File ovf:id="file1" ovf:href="disk1.vmdk" ovf:size="4"/></References>
  <DiskSection><Info>disks</Info><Disk ovf:diskId="disk1" ovf:fileRef="file1" ovf:capacity="1048576" ovf:format="raw"/></DiskSection>
  <VirtualSystem ovf:id="web"><Info>a machine</Info></VirtualSystem>
</Envelope>
`

// member is a member to be made.
type member struct {
	name, content string
	kind          byte
	link          string
	format        tar.Format
	records       map[string]string
}

// build makes an archive by the standard library.
func build(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Size: int64(len(m.content)), Mode: 0o644, Typeflag: m.kind, Linkname: m.link, Format: m.format, PAXRecords: m.records}
		switch m.kind {
		case 0:
			h.Typeflag = tar.TypeReg
		case tar.TypeXGlobalHeader:
			h = &tar.Header{Typeflag: m.kind, PAXRecords: m.records}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sound is an archive that nothing is wrong with.
func sound(t testing.TB) []byte {
	t.Helper()
	return build(t, member{name: "web.ovf", content: descriptor}, member{name: "web.mf", content: manifest("web.ovf", descriptor, "disk1.vmdk", "disk")},
		member{name: "disk1.vmdk", content: "disk"})
}

// manifest makes one of names and contents, in turn.
func manifest(pairs ...string) string {
	text := ""
	for i := 0; i < len(pairs); i += 2 {
		text += fmt.Sprintf("SHA256(%s)= %x\n", pairs[i], sha256.Sum256([]byte(pairs[i+1])))
	}
	return text
}

func gzipped(t testing.TB, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstandard(t testing.TB, p []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(p, nil)
}

// readAll goes through an archive; contents are by name.
func readAll(r io.Reader, o ova.Options) (map[string]string, *ova.Report, error) {
	in, err := ova.NewReader(r, o)
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	contents := map[string]string{}
	for {
		m, err := in.Next()
		if errors.Is(err, io.EOF) {
			report, err := in.Verify(ova.Trust{})
			return contents, report, err
		}
		if err != nil {
			return contents, nil, err
		}
		text, err := io.ReadAll(m)
		if err != nil {
			return contents, nil, err
		}
		contents[m.Name] = string(text)
	}
}
