package ovf

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"
)

// Algorithms of XML Encryption.
const (
	algorithmAES128 = "http://www.w3.org/2001/04/xmlenc#aes128-cbc" // XML Encryption 1.1, 5.2.2
	algorithmAES192 = "http://www.w3.org/2001/04/xmlenc#aes192-cbc"
	algorithmAES256 = "http://www.w3.org/2001/04/xmlenc#aes256-cbc"
	algorithmPBKDF2 = "http://www.w3.org/2009/xmlenc11#pbkdf2" // 5.4.2
	prfSHA1         = "http://www.w3.org/2000/09/xmldsig#hmac-sha1"
	prfSHA256       = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"
	prfSHA512       = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512"
	typeOctets      = "http://www.isi.edu/in-notes/iana/assignments/media-types/application/octet-stream"
)

// What a stranger may ask for.
const (
	maxIterations = 10_000_000
	maxSalt       = 1024 // bytes
	maxKeys       = 8
	maxParts      = 1000 // of a descriptor, that are encrypted
)

// EncryptedFile says how a file of the package is encrypted, and with what key.
type EncryptedFile struct {
	// FileID is the File's.
	FileID string
	// Algorithm is the block encryption's URI: AES in CBC mode.
	Algorithm string
	key       derivation
}

// derivation makes a key from a passphrase: PBKDF2 (RFC 8018, 5.2).
type derivation struct {
	salt       []byte
	iterations int
	length     int // bytes
	prf        string
}

// derive computes the key.
func (d derivation) derive(passphrase string) ([]byte, error) {
	h, ok := prfs()[d.prf]
	if !ok {
		return nil, unsupported("the pseudo-random function %.100q is not known; HMAC with SHA-1, SHA-256 and SHA-512 are", d.prf)
	}
	return pbkdf2.Key(h, passphrase, d.salt, d.iterations, d.length)
}

func prfs() map[string]func() hash.Hash {
	return map[string]func() hash.Hash{prfSHA1: sha1.New, prfSHA256: sha256.New, prfSHA512: sha512.New, "": sha1.New}
}

// keyLength is how many bytes an algorithm's key has; 0 if it is not known.
func keyLength(algorithm string) int {
	switch algorithm {
	case algorithmAES128:
		return 16
	case algorithmAES192:
		return 24
	case algorithmAES256:
		return 32
	}
	return 0
}

// EncryptedFiles lists the files that are encrypted, by what the
// EncryptionSection says (DSP0243 2.1, 9.17). A file that is encrypted in a way
// that is not known is an *UnsupportedError.
func (e *Envelope) EncryptedFiles() ([]EncryptedFile, error) {
	keys, err := e.derivations()
	if err != nil {
		return nil, err
	}
	var all []EncryptedFile
	for _, f := range e.Files {
		data := (Element{Children: f.Extra}).Child(nsEncrypt, "EncryptedData")
		if data == nil {
			continue
		}
		one := EncryptedFile{FileID: f.ID}
		if method := data.Child("", "EncryptionMethod"); method != nil {
			one.Algorithm = method.Attr("", "Algorithm")
		}
		if keyLength(one.Algorithm) == 0 {
			return nil, unsupported("the file %q is encrypted by %.100q; AES in CBC mode is decrypted", f.Href, one.Algorithm)
		}
		i := slices.IndexFunc(keys, func(k derivedKey) bool { return k.serves(*data, f.Href) })
		if i < 0 {
			return nil, unsupported("the file %q is encrypted, and no DerivedKey of a passphrase refers to it: its key comes in another way", f.Href)
		}
		one.key = keys[i].derivation
		if one.key.length == 0 {
			one.key.length = keyLength(one.Algorithm)
		}
		if one.key.length != keyLength(one.Algorithm) {
			return nil, malformed("envelope", 0, 0, "the key for %q has %d bytes and %s wants %d", f.Href, one.key.length, one.Algorithm, keyLength(one.Algorithm))
		}
		all = append(all, one)
	}
	return all, nil
}

// derivedKey is a key with what it decrypts.
type derivedKey struct {
	derivation
	uris []string
}

// serves tells whether a key is for an element EncryptedData. The standard's
// example refers to its Id in one place, and to the file in another.
func (k derivedKey) serves(data Element, href string) bool {
	id := data.Attr("", "Id")
	return slices.ContainsFunc(k.uris, func(uri string) bool {
		return id != "" && (uri == "#"+id || uri == id) || href != "" && uri == href
	})
}

// isEncryption tells whether a section is the standard's EncryptionSection, which
// [Envelope.EncryptedFiles] reads.
func isEncryption(u *UnknownSection) bool {
	return u.Raw.Name.Local == "EncryptionSection" && (isEnvelope(u.Raw.Name.Space) || u.Raw.Name.Space == NSEnvelope2)
}

// derivations reads the keys of all EncryptionSections.
func (e *Envelope) derivations() ([]derivedKey, error) {
	var keys []derivedKey
	for u := range All[*UnknownSection](e.Sections) {
		if !isEncryption(u) {
			continue
		}
		for _, c := range u.Raw.Children {
			if c.Name.Local != "DerivedKey" {
				continue
			}
			if len(keys) == maxKeys {
				return nil, unsupported("there are more than %d keys", maxKeys)
			}
			key, err := derivedKeyOf(c)
			if err != nil {
				return nil, err
			}
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// derivedKeyOf reads xenc11:DerivedKey (XML Encryption 1.1, 3.5.2). The parameters
// stand in KeyDerivationMethod or, as the standard's example has them, beside
// it.
func derivedKeyOf(e Element) (derivedKey, error) {
	var key derivedKey
	method := e.Child("", "KeyDerivationMethod")
	if method == nil {
		return key, malformed("envelope", 0, 0, "a DerivedKey does not say how it is derived")
	}
	if algorithm := method.Attr("", "Algorithm"); !strings.HasSuffix(strings.ToLower(algorithm), "pbkdf2") {
		return key, unsupported("a key is derived by %.100q; PBKDF2 is known", algorithm)
	}
	parameters := method.Child("", "PBKDF2-params")
	if parameters == nil {
		parameters = e.Child("", "PBKDF2-params")
	}
	if parameters == nil {
		return key, malformed("envelope", 0, 0, "a DerivedKey has no PBKDF2-params")
	}
	if list := e.Child("", "ReferenceList"); list != nil {
		for _, r := range list.Children {
			key.uris = append(key.uris, r.Attr("", "URI"))
		}
	}
	var err error
	key.derivation, err = parametersOf(*parameters)
	return key, err
}

func parametersOf(e Element) (derivation, error) {
	var d derivation
	text := func(path ...string) string {
		at := &e
		for _, name := range path {
			if at = at.Child("", name); at == nil {
				return ""
			}
		}
		return strings.TrimSpace(at.Content())
	}
	d.salt = saltOf(text("Salt", "Specified"))
	iterations, err := strconv.ParseUint(text("IterationCount"), 10, 31)
	if err != nil || iterations == 0 || iterations > maxIterations {
		return d, malformed("envelope", 0, 0, "the IterationCount of a key is %.20q; it must be from 1 to %d", text("IterationCount"), maxIterations)
	}
	d.iterations = int(iterations)
	if length := text("KeyLength"); length != "" {
		n, err := strconv.ParseUint(length, 10, 31)
		if err != nil || n != 16 && n != 24 && n != 32 {
			return d, malformed("envelope", 0, 0, "the KeyLength of a key is %.20q; AES has keys of 16, 24 and 32 bytes", length)
		}
		d.length = int(n)
	}
	if len(d.salt) == 0 || len(d.salt) > maxSalt {
		return d, malformed("envelope", 0, 0, "the salt of a key has %d bytes; it must have from 1 to %d", len(d.salt), maxSalt)
	}
	if prf := e.Child("", "PRF"); prf != nil {
		d.prf = prf.Attr("", "Algorithm")
	}
	return d, nil
}

// saltOf reads a salt: base64, as XML Encryption 1.1 has it, or else the text
// itself, as the example in DSP0243 ("ovfpassword") has it.
func saltOf(text string) []byte {
	if salt, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")); err == nil {
		return salt
	}
	return []byte(text)
}

// Cipher is how one file is encrypted, with its key.
type Cipher struct{ block cipher.Block }

// Cipher makes the key of a passphrase. That the passphrase is right, only the
// end of what is decrypted tells.
func (f EncryptedFile) Cipher(passphrase string) (*Cipher, error) {
	key, err := f.key.derive(passphrase)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("decrypting the file %q: %w", f.FileID, err)
	}
	return &Cipher{block}, nil
}

// iterationsNew is how often new keys are hashed: what OWASP asked of
// PBKDF2 with HMAC-SHA-256 in 2023.
const iterationsNew = 600_000

// Encrypt says in an envelope that files are encrypted with AES-256 and a key
// that is made of a passphrase, and gives the cipher to encrypt them with. The
// section is required: who does not know it must not take the files.
//
// Manifests are of what is in the package, so of the encrypted content.
func (e *Envelope) Encrypt(passphrase string, fileIDs ...string) (*Cipher, error) {
	d := derivation{salt: make([]byte, 16), iterations: iterationsNew, length: 32, prf: prfSHA256}
	if _, err := rand.Read(d.salt); err != nil {
		return nil, err
	}
	references := element(nsEncrypt, "ReferenceList", nil)
	for n, id := range fileIDs {
		f := e.File(id)
		if f == nil {
			return nil, fmt.Errorf("encrypting the file %q: the envelope has none of that ID", id)
		}
		name := fmt.Sprintf("encrypted-%d", n+1)
		f.Extra = append(f.Extra, encryptedData(name, f.Href))
		references.Children = append(references.Children, element(nsEncrypt, "DataReference", attr("URI", "#"+name)))
	}
	key := element(nsEncrypt11, "DerivedKey", nil, d.element(), references)
	section := element(NSEnvelope, "EncryptionSection", nil, element(NSEnvelope, "Info", nil, textElement("Files that are encrypted with a passphrase")), key)
	e.Sections = append(e.Sections, &UnknownSection{Base: Head{Info: Plain("Files that are encrypted with a passphrase")}, Raw: section})
	return EncryptedFile{Algorithm: algorithmAES256, key: d}.Cipher(passphrase)
}

func encryptedData(id, href string) Element {
	return element(nsEncrypt, "EncryptedData", append(attr("Id", id), attr("Type", typeOctets)...),
		element(nsEncrypt, "EncryptionMethod", attr("Algorithm", algorithmAES256)),
		element(nsEncrypt, "CipherData", nil, element(nsEncrypt, "CipherReference", attr("URI", href))))
}

// element writes the key's derivation.
func (d derivation) element() Element {
	return element(nsEncrypt11, "KeyDerivationMethod", attr("Algorithm", algorithmPBKDF2),
		element(nsEncrypt11, "PBKDF2-params", nil,
			element(nsEncrypt11, "Salt", nil, element(nsEncrypt11, "Specified", nil, textElement(base64.StdEncoding.EncodeToString(d.salt)))),
			element(nsEncrypt11, "IterationCount", nil, textElement(strconv.Itoa(d.iterations))),
			element(nsEncrypt11, "KeyLength", nil, textElement(strconv.Itoa(d.length))),
			element(nsEncrypt11, "PRF", attr("Algorithm", d.prf))))
}

func element(space, local string, attrs []xml.Attr, children ...Element) Element {
	return Element{Name: xml.Name{Space: space, Local: local}, Attrs: attrs, Children: children}
}

func attr(local, value string) []xml.Attr {
	return []xml.Attr{{Name: xml.Name{Local: local}, Value: value}}
}
