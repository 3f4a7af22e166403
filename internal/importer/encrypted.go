package importer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/ovf"
)

// maxEnvelope bounds a descriptor, bytes.
const maxEnvelope = 64 << 20

// readEnvelope reads a descriptor, decrypts what is encrypted in it, and makes
// what decrypts its files, by their IDs. Without a passphrase there are none.
func readEnvelope(r io.Reader, label, passphrase string) (*ovf.Envelope, map[string]*ovf.Cipher, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxEnvelope+1))
	if err != nil {
		return nil, nil, err
	}
	if len(text) > maxEnvelope {
		return nil, nil, fmt.Errorf("the descriptor is longer than %d bytes", maxEnvelope)
	}
	env, err := ovf.ParseEncrypted(bytes.NewReader(text), passphrase)
	switch {
	case passphrase == "" && errors.Is(err, ovf.ErrPassphrase):
		return nil, nil, errEncrypted(label, "its description")
	case passphrase == "" || err != nil:
		return env, nil, err
	}
	files, err := env.EncryptedFiles()
	if err != nil {
		return nil, nil, err
	}
	ciphers := map[string]*ovf.Cipher{}
	for _, f := range files {
		if ciphers[f.FileID], err = f.Cipher(passphrase); err != nil {
			return nil, nil, err
		}
	}
	return env, ciphers, nil
}

// wrongPassphrase says so, where that is what is wrong.
func wrongPassphrase(label string, err error) error {
	if errors.Is(err, ovf.ErrPassphrase) {
		return problem.New(api.KindRefused, "give the one that it was encrypted with", "import %s: the passphrase is not the one, or the encrypted content is damaged", label)
	}
	return err
}

// judged refuses what a wrong passphrase makes of a disk: content that is not in
// the format that the description says. What has no header to tell it by has at
// least whole sectors, which one in some 256 wrong passphrases gives too.
func judged(d appliance.Disk, r io.Reader) (io.Reader, error) {
	plain := bufio.NewReaderSize(r, disk.SampleHead)
	head, err := plain.Peek(disk.SampleHead)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	sample := disk.Sample{ReaderAt: bytes.NewReader(head), Size: int64(len(head)), Name: path.Base(d.File), Head: head}
	if _, sure := disk.Probe(formats.All(), sample); sure > disk.Fallback {
		return plain, nil
	}
	switch d.Format {
	case "", "raw", "vhd":
		return &sectors{r: plain}, nil
	}
	return nil, fmt.Errorf("%s: it is not in the format %s: %w", d.File, d.Format, ovf.ErrPassphrase)
}

// sectors is content that has to end with a whole sector.
type sectors struct {
	r io.Reader
	n int64
}

// Read reads on.
func (s *sectors) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if s.n += int64(n); errors.Is(err, io.EOF) && s.n%512 != 0 {
		return n, fmt.Errorf("its %d bytes are no whole sectors: %w", s.n, ovf.ErrPassphrase)
	}
	return n, err
}

// markEncrypted notes in an appliance which disks are encrypted.
func markEncrypted(a *appliance.Appliance, env *ovf.Envelope) error {
	files, err := env.EncryptedFiles()
	if err != nil {
		return err
	}
	keys := map[string]string{}
	for _, f := range files {
		if file := env.File(f.FileID); file != nil {
			keys[file.Href] = f.FileID
		}
	}
	for i := range a.Machines {
		for j := range a.Machines[i].Disks {
			d := &a.Machines[i].Disks[j]
			d.Encryption = keys[d.File]
		}
	}
	return nil
}

// errEncrypted asks for a passphrase.
func errEncrypted(label, file string) error {
	return problem.New(api.KindRefused, "give the passphrase with --passphrase-file", "import %s: %s is encrypted", label, file)
}
