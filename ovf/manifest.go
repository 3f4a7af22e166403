package ovf

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/hmac"
	_ "crypto/sha1" // for crypto.Hash
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"
)

// maxManifest is how long a manifest may be, in bytes.
const maxManifest = 8 << 20

// Algorithm is a digest's.
type Algorithm crypto.Hash

// Algorithms. DSP0243 1.0 has only SHA1, 1.1 and 2.0 SHA256 also; SHA512
// is VMware's, as SHA384 is of those of its tools that let OpenSSL choose.
const (
	SHA1   = Algorithm(crypto.SHA1)
	SHA256 = Algorithm(crypto.SHA256)
	SHA384 = Algorithm(crypto.SHA384)
	SHA512 = Algorithm(crypto.SHA512)
)

// Algorithms lists all.
func Algorithms() []Algorithm { return []Algorithm{SHA1, SHA256, SHA384, SHA512} }

// String is the name as manifests have it.
func (a Algorithm) String() string {
	switch a {
	case SHA1:
		return "SHA1"
	case SHA256:
		return "SHA256"
	case SHA384:
		return "SHA384"
	case SHA512:
		return "SHA512"
	}
	return fmt.Sprintf("algorithm %d", uint(a))
}

// New makes a hash.
func (a Algorithm) New() hash.Hash { return crypto.Hash(a).New() }

// Size is the length of a digest, in bytes.
func (a Algorithm) Size() int { return crypto.Hash(a).Size() }

// ParseAlgorithm reads a name: "SHA256", "sha-256", "SHA2-256".
func ParseAlgorithm(name string) (Algorithm, error) {
	switch strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToUpper(name)) {
	case "SHA1", "SHA":
		return SHA1, nil
	case "SHA256", "SHA2256":
		return SHA256, nil
	case "SHA384", "SHA2384":
		return SHA384, nil
	case "SHA512", "SHA2512":
		return SHA512, nil
	}
	return 0, unsupported("the digest %.40q is not known; SHA1, SHA256, SHA384 and SHA512 are", name)
}

// Digest is what a file's content must be.
type Digest struct {
	File      string
	Algorithm Algorithm
	Sum       []byte
}

// Manifest is a list of digests (DSP0243 1.1, 5.1).
type Manifest struct{ Digests []Digest }

// ParseManifest reads a manifest, in all spellings that programs write:
//
//	SHA256(disk1.vmdk)= 9f86d0…      the standard's, and VMware's
//	SHA1 (disk1.vmdk) = a94a8f…      VirtualBox's
//	sha1(disk1.vmdk)=a94a8f…
//	a94a8f…  disk1.vmdk              sha1sum's
//	a94a8f… *disk1.vmdk
//
// with lines that end in LF or CRLF, empty lines, and zeros at the end, as a
// tar reader that forgot to cut them leaves. Of several digests of one file all
// must hold.
func ParseManifest(r io.Reader) (*Manifest, error) {
	text, err := readAll(r, "manifest", maxManifest)
	if err != nil {
		return nil, err
	}
	if text, err = toUTF8(text, "manifest"); err != nil {
		return nil, err
	}
	m := &Manifest{}
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimRight(text, "\x00")))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		d, err := digestLine(line)
		if err != nil {
			return nil, malformed("manifest", n, 0, "%v", err)
		}
		m.Digests = append(m.Digests, d)
	}
	if err := lines.Err(); err != nil {
		return nil, malformed("manifest", 0, 0, "%v", err)
	}
	return m, nil
}

// digestLine reads a line of a manifest.
func digestLine(line string) (Digest, error) {
	algorithm, file, sum, ok := signedName(line)
	if !ok {
		return sumLine(line)
	}
	d := Digest{File: file}
	var err error
	if d.Algorithm, err = ParseAlgorithm(algorithm); err != nil {
		return d, err
	}
	return d, d.setSum(sum)
}

// signedName takes NAME(file)= hex apart.
func signedName(line string) (name, file, value string, ok bool) {
	name, rest, ok := strings.Cut(line, "(")
	if !ok || strings.ContainsAny(strings.TrimSpace(name), " \t") {
		return "", "", "", false
	}
	end := strings.LastIndex(rest, ")") // a name may have some itself
	if end < 0 {
		return "", "", "", false
	}
	value, ok = strings.CutPrefix(strings.TrimSpace(rest[end+1:]), "=")
	return strings.TrimSpace(name), rest[:end], strings.TrimSpace(value), ok
}

// sumLine reads a line of sha1sum and its kin. The length says which.
func sumLine(line string) (Digest, error) {
	sum, file, ok := strings.Cut(line, " ")
	if !ok {
		return Digest{}, fmt.Errorf("%.80q is neither ALGORITHM(file)= digest nor a digest and a name", line)
	}
	d := Digest{File: strings.TrimPrefix(strings.TrimLeft(file, " \t"), "*")}
	for _, a := range Algorithms() {
		if len(sum) == 2*a.Size() {
			d.Algorithm = a
			return d, d.setSum(sum)
		}
	}
	return d, fmt.Errorf("%.80q is no digest that is known", sum)
}

func (d *Digest) setSum(text string) error {
	sum, err := hex.DecodeString(text)
	if err != nil || len(sum) != d.Algorithm.Size() {
		return fmt.Errorf("%.140q is no digest of %s, which has %d hexadecimal digits", text, d.Algorithm, 2*d.Algorithm.Size())
	}
	if d.File == "" {
		return fmt.Errorf("the digest %.20s… is of no file", text)
	}
	d.Sum = sum
	return nil
}

// Write writes the manifest as the standard has it.
func (m *Manifest) Write(w io.Writer) error {
	var b bytes.Buffer
	for _, d := range m.Digests {
		if strings.ContainsAny(d.File, "\r\n") || d.File == "" {
			return fmt.Errorf("writing the manifest: %q cannot be the name of a file in it", d.File)
		}
		fmt.Fprintf(&b, "%s(%s)= %x\n", d.Algorithm, d.File, d.Sum)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Of lists the digests of a file.
func (m *Manifest) Of(file string) []Digest {
	var found []Digest
	for _, d := range m.Digests {
		if d.File == file {
			found = append(found, d)
		}
	}
	return found
}

// Algorithms lists those that the manifest uses.
func (m *Manifest) Algorithms() []Algorithm {
	var used []Algorithm
	for _, a := range Algorithms() {
		for _, d := range m.Digests {
			if d.Algorithm == a {
				used = append(used, a)
				break
			}
		}
	}
	return used
}

// MismatchError says that a file is not what the manifest says. It matches
// ErrDigest.
type MismatchError struct {
	Digest
	Have []byte // what the content's digest is
}

// Error is one line.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("%.200s: its %s digest is %x and the manifest says %x: %v", e.File, e.Algorithm, e.Have, e.Sum, ErrDigest)
}

// Is makes it match ErrDigest.
func (e *MismatchError) Is(target error) bool { return target == ErrDigest }

// Verify compares a digest with what a file was found to be; a
// *MismatchError if it is another.
func (d Digest) Verify(have []byte) error {
	if hmac.Equal(d.Sum, have) {
		return nil
	}
	return &MismatchError{d, have}
}
