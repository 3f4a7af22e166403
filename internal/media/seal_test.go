package media

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/luks"
	"github.com/panalvm/panal/internal/problem"
)

// family is an encrypted image and one above it, whose header is the same.
func family(t *testing.T) []Ref {
	t.Helper()
	dir := t.TempDir()
	header, err := luks.New([]byte("old"), 10)
	if err != nil {
		t.Fatal(err)
	}
	base := Ref{Path: filepath.Join(dir, "base.qcow2"), Format: "qcow2"}
	over := Ref{Path: filepath.Join(dir, "over.qcow2"), Format: "qcow2"}
	err = errors.Join(CreateEmpty(base.Path, api.MiB, header))
	if err == nil {
		err = CreateOverlay(over.Path, base, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return []Ref{base, over}
}

func opens(t *testing.T, refs []Ref, passphrase string, want bool) {
	t.Helper()
	for _, ref := range refs {
		if err := Unlock(ref, luks.NewKeys([]byte(passphrase))); (err == nil) != want {
			t.Errorf("%s with %q: %v", filepath.Base(ref.Path), passphrase, err)
		}
	}
}

func TestPassphrasesOfAFamily(t *testing.T) {
	refs := family(t)
	err := Rekey(refs, Rekeying{Given: []byte("wrong"), Add: []byte("new")})
	if problem.Of(err).Kind != api.KindRefused {
		t.Errorf("with a wrong passphrase: %v", err)
	}
	opens(t, refs, "old", true)
	if err := Rekey(refs, Rekeying{Given: []byte("old"), Remove: []byte("old")}); !errors.Is(err, luks.ErrLastSlot) && err == nil {
		t.Errorf("the last passphrase was taken away: %v", err)
	}
	opens(t, refs, "old", true)
	// Cut off after the first image: what is done again completes it.
	change := Rekeying{Given: []byte("old"), Add: []byte("new"), Remove: []byte("old")}
	if err := Rekey(refs[:1], change); err != nil {
		t.Fatal(err)
	}
	opens(t, refs[1:], "old", true)
	if err := Rekey(refs, change); err != nil {
		t.Fatal(err)
	}
	opens(t, refs, "new", true)
	opens(t, refs, "old", false)
}

func TestLockedImagesAreDescribed(t *testing.T) {
	refs := family(t)
	chain, err := Open(refs[1])
	if err != nil || !chain.Encrypted() || !chain.Plain() {
		t.Fatalf("%+v, %v", chain, err)
	}
	if _, _, err := OpenImage(refs[1], OpenOptions{Keys: locked{}}); problem.Of(err).Kind != api.KindLocked {
		t.Errorf("without a passphrase: %v", err)
	}
}

// locked are keys that nobody has.
type locked struct{}

func (locked) Unlock([]byte) (disk.Cipher, error) { return nil, disk.ErrLocked }
