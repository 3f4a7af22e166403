package disk

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// Errors of encrypted images.
var (
	// ErrLocked: the content of an encrypted image was asked for, and it was opened
	// without Options.Keys. What its headers and tables say can be had.
	ErrLocked = errors.New("it is encrypted, and its passphrase was not given")
	// ErrWrongPassphrase: no key slot of an encrypted image opens with the passphrase.
	ErrWrongPassphrase = errors.New("the passphrase is not the one that it is encrypted with")
)

// Keys opens encrypted images. It may be asked by many goroutines at once.
type Keys interface {
	// Unlock finds the master key that a LUKS header keeps: ErrWrongPassphrase where
	// none of the passphrases opens it, a FormatError or UnsupportedError where the header is at fault.
	Unlock(header []byte) (Cipher, error)
}

// Cipher is the encryption of an image's content, sector by sector.
type Cipher interface {
	// Encrypt encrypts whole sectors of CipherSector bytes in place; off, a multiple
	// of it, is where they lie.
	Encrypt(p []byte, off int64)
	// Decrypt undoes Encrypt.
	Decrypt(p []byte, off int64)
}

// CipherSector is the unit of encryption in bytes.
const CipherSector = 512

// Encrypted is an image whose content is encrypted.
type Encrypted interface {
	// EncryptionHeader is the LUKS header with its key slots; nil if the image is
	// not encrypted.
	EncryptionHeader() ([]byte, error)
	// SetEncryptionHeader replaces the header by one of the same master key and length: with
	// other passphrases. It is durable when it returns. Cut off, what it leaves opens with
	// the passphrases of either as long as the two have one key slot in common.
	SetEncryptionHeader(header []byte) error
}

// EncryptionHeader is the LUKS header of an image, nil if it is not encrypted.
func EncryptionHeader(img Image) ([]byte, error) {
	e, ok := img.(Encrypted)
	if !ok {
		return nil, nil
	}
	return e.EncryptionHeader()
}

// cipherStep bounds what is encrypted in one piece.
const cipherStep = 1 << 20

// Decrypted shows a file whose content is encrypted as what was encrypted. Sectors are
// numbered from base on, where a disk that begins there begins. A nil cipher
// gives ErrLocked for all content. It is closed with, and is no more than, the file.
func Decrypted(file File, cipher Cipher, base int64) File {
	if cipher == nil {
		return &lockedFile{file}
	}
	return &cipherFile{File: file, cipher: cipher, base: base}
}

type lockedFile struct{ File }

// ReadAt refuses.
func (*lockedFile) ReadAt([]byte, int64) (int, error) { return 0, ErrLocked }

// WriteAt refuses.
func (*lockedFile) WriteAt([]byte, int64) (int, error) { return 0, ErrLocked }

// cipherFile is Decrypted's. Offsets are the file's.
type cipherFile struct {
	File
	cipher Cipher
	base   int64

	parts sync.RWMutex // held for writing by who writes parts of sectors, for reading by who writes whole ones
}

// ReadAt reads and decrypts. Of a last sector that the file has only a part of nothing can be read.
func (f *cipherFile) ReadAt(p []byte, off int64) (int, error) {
	for done := 0; done < len(p); {
		at := off + int64(done)
		from := at &^ (CipherSector - 1)
		want := min(int64(len(p)-done)+at-from, cipherStep)
		piece, err := f.sectors(from, want)
		n := copy(p[done:], piece[min(at-from, int64(len(piece))):])
		done += n
		if err != nil {
			return done, err
		}
		if n == 0 {
			return done, io.EOF
		}
	}
	return len(p), nil
}

// sectors reads whole sectors that n bytes from a sector's begin on touch, fewer where the
// file ends.
func (f *cipherFile) sectors(from, n int64) ([]byte, error) {
	piece := make([]byte, (n+CipherSector-1)&^(CipherSector-1))
	k, err := f.File.ReadAt(piece, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	piece = piece[:k&^(CipherSector-1)]
	f.cipher.Decrypt(piece, from-f.base)
	return piece, nil
}

// WriteAt encrypts and writes.
func (f *cipherFile) WriteAt(p []byte, off int64) (int, error) {
	end := off + int64(len(p))
	from, to := off&^(CipherSector-1), (end+CipherSector-1)&^(CipherSector-1)
	if from == off && to == end {
		f.parts.RLock()
		defer f.parts.RUnlock()
		return f.write(p, off)
	}
	f.parts.Lock()
	defer f.parts.Unlock()
	whole := make([]byte, to-from)
	for _, edge := range [][2]int64{{from, off}, {end, to}} {
		if edge[0] == edge[1] {
			continue
		}
		at := edge[0] &^ (CipherSector - 1)
		old, err := f.sectors(at, CipherSector)
		if err != nil {
			return 0, err
		}
		copy(whole[at-from:], old)
	}
	copy(whole[off-from:], p)
	if _, err := f.write(whole, from); err != nil {
		return 0, err
	}
	return len(p), nil
}

// write encrypts whole sectors and writes them.
func (f *cipherFile) write(p []byte, off int64) (int, error) {
	buffer := make([]byte, min(len(p), cipherStep))
	for done := 0; done < len(p); {
		n := copy(buffer, p[done:])
		f.cipher.Encrypt(buffer[:n], off+int64(done)-f.base)
		k, err := f.File.WriteAt(buffer[:n], off+int64(done))
		if err != nil {
			return done + k, fmt.Errorf("write what was encrypted: %w", err)
		}
		done += n
	}
	return len(p), nil
}
