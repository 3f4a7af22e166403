package ovf

import (
	"bytes"
	"crypto/aes"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
)

// ParseEncrypted is Parse of a descriptor of which parts are encrypted with a
// passphrase (DSP0243 2.1, 9.17): elements EncryptedData, that have the content
// with them, are replaced by what they hold. A wrong passphrase gives
// ErrPassphrase. Parts within decrypted parts stay encrypted.
func ParseEncrypted(r io.Reader, passphrase string) (*Envelope, error) {
	t, err := readTree(r, "envelope")
	if err != nil {
		return nil, err
	}
	outer, err := envelopeOf(cloneElement(t.root), nil)
	if err != nil {
		return nil, err
	}
	keys, err := outer.derivations()
	if err != nil {
		return nil, err
	}
	p := &partDecrypter{passphrase: passphrase, keys: keys, declared: t.atRoot, ciphers: map[int]*Cipher{}}
	if err := p.replace(t.root); err != nil {
		return nil, err
	}
	return envelopeOf(t.root, t.undeclared)
}

// cloneElement copies a tree, because making a model changes namespaces in it.
func cloneElement(e *Element) *Element {
	made := *e
	made.Attrs = slices.Clone(e.Attrs)
	made.Children = slices.Clone(e.Children)
	for i := range made.Children {
		made.Children[i] = *cloneElement(&made.Children[i])
	}
	return &made
}

// partDecrypter decrypts parts of a descriptor.
type partDecrypter struct {
	passphrase string
	keys       []derivedKey
	ciphers    map[int]*Cipher // of the keys that were needed
	declared   []declaration   // that hold for the parts
	parts      int
}

// replace decrypts the parts within an element.
func (p *partDecrypter) replace(e *Element) error {
	var children []Element
	for i := range e.Children {
		c := &e.Children[i]
		value := cipherValue(c)
		if value == nil {
			if err := p.replace(c); err != nil {
				return err
			}
			children = append(children, *c)
			continue
		}
		made, err := p.decrypt(c, value)
		if err != nil {
			return err
		}
		children = append(children, made...)
	}
	e.Children = children
	return nil
}

// cipherValue finds the content that an element EncryptedData has with it.
func cipherValue(e *Element) *Element {
	if e.Name.Space != nsEncrypt || e.Name.Local != "EncryptedData" {
		return nil
	}
	if data := e.Child(nsEncrypt, "CipherData"); data != nil {
		return data.Child(nsEncrypt, "CipherValue")
	}
	return nil
}

// decrypt gives what an element EncryptedData holds.
func (p *partDecrypter) decrypt(e, value *Element) ([]Element, error) {
	if p.parts++; p.parts > maxParts {
		return nil, unsupported("more than %d parts of the descriptor are encrypted", maxParts)
	}
	c, err := p.cipher(e)
	if err != nil {
		return nil, err
	}
	sealed, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value.Content()), ""))
	if err != nil || len(sealed)%aes.BlockSize != 0 {
		return nil, malformed("envelope", 0, 0, "an encrypted part is not in base64, or cut short")
	}
	text, err := io.ReadAll(c.Reader(bytes.NewReader(sealed)))
	if err != nil {
		return nil, err
	}
	inner, err := parseTree(slices.Concat([]byte("<part>"), text, []byte("</part>")), "envelope", p.declared)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	return inner.root.Children, nil
}

// cipher finds the key for an element EncryptedData.
func (p *partDecrypter) cipher(e *Element) (*Cipher, error) {
	one := EncryptedFile{}
	if method := e.Child("", "EncryptionMethod"); method != nil {
		one.Algorithm = method.Attr("", "Algorithm")
	}
	i := slices.IndexFunc(p.keys, func(k derivedKey) bool { return k.serves(*e, "") })
	if keyLength(one.Algorithm) == 0 || i < 0 {
		return nil, unsupported("a part of the descriptor is encrypted by %.100q with a key that does not come of a passphrase, or in another way than AES in CBC mode", one.Algorithm)
	}
	if known := p.ciphers[i]; known != nil {
		return known, nil
	}
	one.key = p.keys[i].derivation
	if one.key.length == 0 {
		one.key.length = keyLength(one.Algorithm)
	}
	if one.key.length != keyLength(one.Algorithm) {
		return nil, malformed("envelope", 0, 0, "a key has %d bytes and %s wants %d", one.key.length, one.Algorithm, keyLength(one.Algorithm))
	}
	made, err := one.Cipher(p.passphrase)
	p.ciphers[i] = made
	return made, err
}
