package ovf

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
)

// An encrypted file is (XML Encryption 1.1, 5.2.1 and 5.2.2)
//
//	initialization vector   16 bytes
//	blocks                  AES in CBC mode
//	last block              content, then bytes of any value, and as the last
//	                        byte how many bytes of it are no content: 1 to 16

const cipherBuffer = 64 << 10

// Reader decrypts a file. The end of the content is where r ends; when the
// padding there makes no sense, the error is ErrPassphrase, in one of some 16
// wrong passphrases not. The manifest says whether it is the right file, and
// what is decrypted must be judged by who reads it.
func (c *Cipher) Reader(r io.Reader) io.Reader { return &decrypter{cipher: c, r: r} }

// decrypter keeps the last block back until it knows that it is the last.
type decrypter struct {
	cipher *Cipher
	r      io.Reader
	mode   cipher.BlockMode
	raw    []byte // encrypted, not a whole number of blocks yet, or the last block
	plain  []byte // not read yet
	err    error
}

func (d *decrypter) Read(p []byte) (int, error) {
	for len(d.plain) == 0 && d.err == nil {
		d.err = d.fill()
	}
	n := copy(p, d.plain)
	d.plain = d.plain[n:]
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, d.err
}

// fill decrypts the next blocks.
func (d *decrypter) fill() error {
	if d.mode == nil {
		vector := make([]byte, aes.BlockSize)
		if _, err := io.ReadFull(d.r, vector); err != nil {
			return cutShort(err)
		}
		d.mode = cipher.NewCBCDecrypter(d.cipher.block, vector)
	}
	have := len(d.raw)
	d.raw = append(d.raw, make([]byte, cipherBuffer)...)
	n, err := d.r.Read(d.raw[have:])
	d.raw = d.raw[:have+n]
	if errors.Is(err, io.EOF) {
		return d.last()
	}
	if whole := (len(d.raw) - 1) / aes.BlockSize * aes.BlockSize; whole > 0 {
		d.plain = append(d.plain[:0:0], d.raw[:whole]...)
		d.mode.CryptBlocks(d.plain, d.plain)
		d.raw = append(d.raw[:0], d.raw[whole:]...)
	}
	return err
}

// last decrypts what is left, and takes the padding off.
func (d *decrypter) last() error {
	if len(d.raw) == 0 || len(d.raw)%aes.BlockSize != 0 {
		return cutShort(io.EOF)
	}
	d.mode.CryptBlocks(d.raw, d.raw)
	padding := int(d.raw[len(d.raw)-1])
	if padding < 1 || padding > aes.BlockSize {
		return fmt.Errorf("decrypting: the last block ends with %d: %w", padding, ErrPassphrase)
	}
	d.plain = d.raw[:len(d.raw)-padding]
	return io.EOF
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("decrypting: the file ends within a block: %w", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("decrypting: %w", err)
}

// Writer encrypts a file. Close writes the last block; it does not close w.
func (c *Cipher) Writer(w io.Writer) (io.WriteCloser, error) {
	vector := make([]byte, aes.BlockSize)
	if _, err := rand.Read(vector); err != nil {
		return nil, err
	}
	if _, err := w.Write(vector); err != nil {
		return nil, fmt.Errorf("encrypting: %w", err)
	}
	return &encrypter{w: w, mode: cipher.NewCBCEncrypter(c.block, vector)}, nil
}

// EncryptedSize is how long a file of n bytes becomes.
func EncryptedSize(n int64) int64 { return aes.BlockSize + (n/aes.BlockSize+1)*aes.BlockSize }

type encrypter struct {
	w       io.Writer
	mode    cipher.BlockMode
	pending []byte // less than a block
	closed  bool
}

func (e *encrypter) Write(p []byte) (int, error) {
	if e.closed {
		return 0, errors.New("encrypting: the writer was closed")
	}
	for taken := 0; taken < len(p); {
		part := p[taken:min(len(p), taken+cipherBuffer)]
		blocks := append(e.pending, part...)
		whole := len(blocks) / aes.BlockSize * aes.BlockSize
		e.pending = append([]byte(nil), blocks[whole:]...)
		e.mode.CryptBlocks(blocks[:whole], blocks[:whole])
		if _, err := e.w.Write(blocks[:whole]); err != nil {
			return taken, fmt.Errorf("encrypting: %w", err)
		}
		taken += len(part)
	}
	return len(p), nil
}

func (e *encrypter) Close() error {
	if e.closed {
		return nil
	}
	e.closed = true
	padding := aes.BlockSize - len(e.pending)
	block := append(e.pending, bytes.Repeat([]byte{byte(padding)}, padding)...) // as PKCS #7 wants it, for strict readers
	e.mode.CryptBlocks(block, block)
	if _, err := e.w.Write(block); err != nil {
		return fmt.Errorf("encrypting: %w", err)
	}
	return nil
}
