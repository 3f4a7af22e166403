package exporter_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/envelope"
	"github.com/panalvm/panal/internal/exporter"
	"github.com/panalvm/panal/ovf"
)

// folderOf exports into a folder.
func folderOf(t *testing.T, machines []exporter.Machine, o exporter.Options) string {
	t.Helper()
	dir := t.TempDir()
	create := func(name string) (io.WriteCloser, error) { return os.Create(filepath.Join(dir, name)) }
	if err := exporter.ToFolder(context.Background(), create, machines, o); err != nil {
		t.Fatal(err)
	}
	return dir
}

// notesOf is what an import says of a descriptor.
func notesOf(t *testing.T, env *ovf.Envelope) string {
	t.Helper()
	read, err := envelope.Read(env, appliance.Choices{})
	if err != nil {
		t.Fatal(err)
	}
	notes := ""
	for _, list := range [][]appliance.Note{read.Notes, read.Machines[0].Notes} {
		for _, n := range list {
			notes += n.String() + "\n"
		}
	}
	return notes
}

// TestEveryFormatIsNamed reads from the descriptor which format the disks are in.
func TestEveryFormatIsNamed(t *testing.T) {
	for _, format := range []string{"raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "parallels"} {
		t.Run(format, func(t *testing.T) {
			m, _ := machine(t, "web")
			o := options("web")
			o.Format = format
			text, err := os.ReadFile(filepath.Join(folderOf(t, []exporter.Machine{m}, o), "web.ovf"))
			if err != nil {
				t.Fatal(err)
			}
			env, err := ovf.Parse(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if notes := notesOf(t, env); strings.Contains(notes, "format") {
				t.Errorf("it is said: %s", notes)
			}
			read, err := envelope.Read(env, appliance.Choices{})
			if err != nil || read.Machines[0].Disks[0].Format != format {
				t.Errorf("%+v, %v", read.Machines[0].Disks, err)
			}
		})
	}
}

// TestThePassphraseOpensWhatWasEncrypted reads what was exported back by the
// descriptor alone: decrypted, then decompressed.
func TestThePassphraseOpensWhatWasEncrypted(t *testing.T) {
	m, content := machine(t, "web")
	o := options("web")
	o.Version, o.Passphrase, o.Format, o.Compress = ovf.Version20, "correct horse", "raw", true
	dir := folderOf(t, []exporter.Machine{m}, o)
	text, err := os.ReadFile(filepath.Join(dir, "web.ovf"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("horse")) {
		t.Error("the descriptor tells the passphrase")
	}
	env, err := ovf.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if notes := notesOf(t, env); strings.Contains(notes, "Encrypt") {
		t.Errorf("of what is decrypted it is said: %s", notes)
	}
	files, err := env.EncryptedFiles()
	if err != nil || len(files) != 1 {
		t.Fatalf("%d encrypted files, %v", len(files), err)
	}
	sealed, err := os.ReadFile(filepath.Join(dir, "web-disk0.raw.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if size := env.File(files[0].FileID).Size; size == nil || *size != int64(len(sealed)) {
		t.Errorf("the descriptor says %v bytes of %d", size, len(sealed))
	}
	for passphrase, right := range map[string]bool{"correct horse": true, "battery staple": false} {
		cipher, err := files[0].Cipher(passphrase)
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		if unpacked, failed := gzip.NewReader(cipher.Reader(bytes.NewReader(sealed))); failed == nil {
			got, err = io.ReadAll(unpacked)
		}
		if (err == nil && bytes.Equal(got, content)) != right {
			t.Errorf("%q: %d bytes, %v", passphrase, len(got), err)
		}
	}
}

func TestOnlyOVF2KnowsOfEncryption(t *testing.T) {
	m, _ := machine(t, "web")
	o := options("web")
	o.Passphrase = "correct horse"
	if err := exporter.ToPipe(context.Background(), &pipe{}, []exporter.Machine{m}, o); err == nil || !strings.Contains(err.Error(), "OVF 2.0") {
		t.Errorf("got %v", err)
	}
}
