package cli

import (
	"context"
	"errors"
	"sync"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/luks"
)

// imageKeyFlags say where the passphrases of images come from that a command reads.
type imageKeyFlags struct {
	files, commands []string
	content         bool // the command is about what is encrypted: it asks for a passphrase that nobody gave
}

func (f *imageKeyFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringArrayVar(&f.files, "passphrase-file", nil, "read a passphrase of encrypted images from the first line of this `FILE`; several times")
	flags.StringArrayVar(&f.commands, "key-command", nil, "run this shell `COMMAND`, whose output is a passphrase of encrypted images; several times")
}

// imageKeys open the images that a command works on. Nothing is read or asked before something encrypted
// is met; nil leaves the content locked.
func (a *app) imageKeys(ctx context.Context, f imageKeyFlags) disk.Keys {
	if len(f.files) == 0 && len(f.commands) == 0 && !f.content {
		return nil
	}
	return &imageKeys{a: a, ctx: ctx, flags: f}
}

// imageKeys are those of one command: its images may have several passphrases.
type imageKeys struct {
	a     *app
	ctx   context.Context //nolint:containedctx // of the one command; disk.Keys has none
	flags imageKeyFlags

	mu    sync.Mutex // guards what follows; held while somebody is asked
	read  bool
	known []*luks.Keys
}

// Unlock finds the master key of a header by the passphrases that were given, else by one that is asked for.
func (k *imageKeys) Unlock(header []byte) (disk.Cipher, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.readGiven(); err != nil {
		return nil, err
	}
	for _, keys := range k.known {
		if cipher, err := keys.Unlock(header); !errors.Is(err, disk.ErrWrongPassphrase) {
			return cipher, err
		}
	}
	switch {
	case len(k.flags.files)+len(k.flags.commands) > 0:
		return nil, disk.ErrWrongPassphrase
	case !isTerminal(k.a.in):
		return nil, disk.ErrLocked
	}
	text, err := k.a.askPassphrase(k.ctx, "Passphrase: ")
	if err != nil {
		return nil, err
	}
	asked := luks.NewKeys([]byte(text))
	cipher, err := asked.Unlock(header)
	if err == nil {
		k.known = append(k.known, asked)
	}
	return cipher, err
}

// readGiven reads what the flags name, once.
func (k *imageKeys) readGiven() error {
	if k.read {
		return nil
	}
	for _, path := range k.flags.files {
		text, err := readPassphrase(path)
		if err != nil {
			return err
		}
		k.known = append(k.known, luks.NewKeys([]byte(text)))
	}
	for _, command := range k.flags.commands {
		text, err := k.a.keyOf(k.ctx, command)
		if err != nil {
			return err
		}
		k.known = append(k.known, luks.NewKeys([]byte(text)))
	}
	k.read = true
	return nil
}

// diskSeal says whether and how a new image is encrypted.
type diskSeal struct {
	encrypt bool
	keys    keyFlags
}

func (s *diskSeal) register(c *cobra.Command) {
	c.Flags().BoolVar(&s.encrypt, "encrypt", false, "encrypt the new image, by LUKS; it is qcow2 then")
	s.keys.add(c, "new-", "of the new image")
}

// passphrase is that of the new image; nil if it is not to be encrypted.
func (s *diskSeal) passphrase(ctx context.Context, a *app) ([]byte, error) {
	text, err := s.keys.ofNew(ctx, a, s.encrypt)
	if err != nil || text == "" {
		return nil, err
	}
	return []byte(text), nil
}
