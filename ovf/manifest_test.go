package ovf_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/internal/testenv"
	"github.com/panalvm/panal/ovf"
)

func TestManifestSpellings(t *testing.T) {
	sha1 := strings.Repeat("0a", 20)
	sha256 := strings.Repeat("0B", 32)
	sha512 := strings.Repeat("0c", 64)
	for line, want := range map[string]ovf.Digest{
		"SHA1(disk1.vmdk)= " + sha1:               {File: "disk1.vmdk", Algorithm: ovf.SHA1},
		"SHA1 (disk1.vmdk) = " + sha1:             {File: "disk1.vmdk", Algorithm: ovf.SHA1},
		"sha1(disk1.vmdk)=" + sha1:                {File: "disk1.vmdk", Algorithm: ovf.SHA1},
		"SHA256(a (1).vmdk)= " + sha256:           {File: "a (1).vmdk", Algorithm: ovf.SHA256},
		"SHA-512(d)= " + sha512:                   {File: "d", Algorithm: ovf.SHA512},
		"SHA2-256(d)= " + sha256:                  {File: "d", Algorithm: ovf.SHA256},
		sha1 + "  disk1.vmdk":                     {File: "disk1.vmdk", Algorithm: ovf.SHA1},
		sha256 + " *a (1).vmdk":                   {File: "a (1).vmdk", Algorithm: ovf.SHA256},
		"\ufeffSHA1(d)= " + sha1 + "\r\n\r\n\r\n": {File: "d", Algorithm: ovf.SHA1},
		"SHA1(d)= " + sha1 + "\n\x00\x00\x00":     {File: "d", Algorithm: ovf.SHA1},
	} {
		m, err := ovf.ParseManifest(strings.NewReader(line))
		if err != nil || len(m.Digests) != 1 {
			t.Errorf("%q: %v, %v", line, m, err)
			continue
		}
		if d := m.Digests[0]; d.File != want.File || d.Algorithm != want.Algorithm || len(d.Sum) != want.Algorithm.Size() {
			t.Errorf("%q is %+v", line, d)
		}
	}
	for _, line := range []string{"SHA1(d)= 00", "MD5(d)= " + sha1, "SHA1()= " + sha1, "SHA1(d) " + sha1, "hello", "hello world", "SHA1(d)= " + sha256, strings.Repeat("z", 40) + "  d"} {
		var format *ovf.FormatError
		if _, err := ovf.ParseManifest(strings.NewReader("\n" + line)); !errors.As(err, &format) || format.Line != 2 {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestManifestsAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &ovf.Manifest{}
		for range rapid.IntRange(0, 5).Draw(t, "n") {
			d := ovf.Digest{File: rapid.StringMatching(`[a-zA-Z0-9 ()._-]*[a-z]`).Draw(t, "file"), Algorithm: rapid.SampledFrom(ovf.Algorithms()).Draw(t, "algorithm")}
			d.Sum = rapid.SliceOfN(rapid.Byte(), d.Algorithm.Size(), d.Algorithm.Size()).Draw(t, "sum")
			m.Digests = append(m.Digests, d)
		}
		var b bytes.Buffer
		if err := m.Write(&b); err != nil {
			t.Fatal(err)
		}
		again, err := ovf.ParseManifest(&b)
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("it became %v, %v", again, err)
		}
	})
	for _, name := range []string{"", "a\nb"} {
		if err := (&ovf.Manifest{Digests: []ovf.Digest{{File: name, Algorithm: ovf.SHA1}}}).Write(&bytes.Buffer{}); err == nil {
			t.Errorf("%q is written", name)
		}
	}
}

func TestDigestsAreVerified(t *testing.T) {
	d := ovf.Digest{File: "d", Algorithm: ovf.SHA256, Sum: bytes.Repeat([]byte{1}, 32)}
	if err := d.Verify(bytes.Repeat([]byte{1}, 32)); err != nil {
		t.Error(err)
	}
	if err := d.Verify(make([]byte, 32)); !errors.Is(err, ovf.ErrDigest) || !strings.Contains(err.Error(), "d: its SHA256") {
		t.Error(err)
	}
}

// The corpus has manifests by themselves, beside the files that they are of.
func TestCorpusManifests(t *testing.T) {
	seen := 0
	for _, kind := range []string{"ovf", "ova"} {
		for _, f := range disktest.CorpusFiles(t, kind) {
			if filepath.Ext(f.Name) != ".mf" {
				continue
			}
			text, err := os.ReadFile(f.Path)
			if err != nil {
				t.Fatal(err)
			}
			m, err := ovf.ParseManifest(bytes.NewReader(text))
			if err != nil || len(m.Digests) == 0 {
				t.Errorf("%s: %v", f.Name, err)
			}
			seen++
		}
	}
	if seen < 16 {
		t.Errorf("the corpus has only %d manifests", seen)
	}
}

// keys are of all kinds that sign.
func keys(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"RSA": r, "ECDSA": e}
}

// certify makes a certificate for a key that its own key, or another, signs.
func certify(t testing.TB, name string, key crypto.Signer, above *x509.Certificate, by crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
		IsCA: above == nil, BasicConstraintsValid: true,
	}
	if above == nil {
		above, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, above, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestSignatures(t *testing.T) {
	manifest := []byte("SHA1(web.ovf)= …\n")
	all := keys(t)
	rootCert := certify(t, "Root", all["ECDSA"], nil, nil)
	roots := x509.NewCertPool()
	roots.AddCert(rootCert)
	for name, key := range all {
		cert := certify(t, "Acme "+name, key, rootCert, all["ECDSA"])
		signed, err := ovf.Sign("web.mf", manifest, ovf.SHA512, key, []*x509.Certificate{cert})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := signed.Write(&b); err != nil {
			t.Fatal(err)
		}
		c, err := ovf.ParseCertificate(&b)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := c.Verify(manifest, roots, time.Unix(1e9, 0))
		if err != nil || signer.Distrust != nil || signer.Subject != "CN=Acme "+name || signer.Issuer != "CN=Root" {
			t.Errorf("%s: %+v, %v", name, signer, err)
		}
		if signer, _ := c.Verify(manifest, roots, time.Unix(1<<33, 0)); signer.Distrust == nil {
			t.Errorf("%s: it is trusted when it has expired", name)
		}
		if signer, err := c.Verify(manifest, nil, time.Unix(1e9, 0)); signer.Distrust == nil || err != nil {
			t.Errorf("%s: without roots %+v, %v", name, signer, err)
		}
		if _, err := c.Verify(manifest[1:], roots, time.Unix(1e9, 0)); !errors.Is(err, ovf.ErrSignature) {
			t.Errorf("%s: of another manifest %v", name, err)
		}
		c.Signature[10] ^= 1
		if _, err := c.Verify(manifest, roots, time.Unix(1e9, 0)); !errors.Is(err, ovf.ErrSignature) {
			t.Errorf("%s: another signature %v", name, err)
		}
	}
}

func TestKeysThatCannotSign(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := certify(t, "Acme", key, nil, nil)
	if _, err := ovf.Sign("web.mf", nil, ovf.SHA256, key, []*x509.Certificate{cert}); err == nil {
		t.Error("Ed25519 signs")
	}
	if _, err := ovf.Sign("web.mf", nil, ovf.SHA256, key, nil); err == nil {
		t.Error("it signs without a certificate")
	}
}

// What openssl signs is verified, and what we sign, openssl verifies.
func TestSignaturesOfOpenSSL(t *testing.T) {
	program := testenv.Need(t, "openssl")
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	put := func(name string, p []byte) {
		if err := os.WriteFile(path(name), p, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	manifest := []byte(fmt.Sprintf("SHA256(web.ovf)= %x\n", sha256.Sum256(nil)))
	put("web.mf", manifest)
	for name, key := range keys(t) {
		cert := certify(t, "Acme", key, nil, nil)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		public, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		put("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		put("public.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
		signing := exec.Command(program, "dgst", "-sha256", "-hex", "-sign", "key.pem", "web.mf")
		signing.Dir = dir
		line, err := signing.Output()
		if err != nil {
			t.Fatal(err)
		}
		c, err := ovf.ParseCertificate(bytes.NewReader(append(line, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)))
		if err != nil {
			t.Fatalf("%s: %q: %v", name, line, err)
		}
		if _, err := c.Verify(manifest, nil, time.Time{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		signed, err := ovf.Sign("web.mf", manifest, ovf.SHA256, key, []*x509.Certificate{cert})
		if err != nil {
			t.Fatal(err)
		}
		put("signature", signed.Signature)
		if out, err := exec.Command(program, "dgst", "-sha256", "-verify", path("public.pem"), "-signature", path("signature"), path("web.mf")).CombinedOutput(); err != nil {
			t.Errorf("%s: openssl says %s", name, out)
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte("SHA256(d)= " + strings.Repeat("0", 64) + "\r\n"))
	f.Add([]byte(strings.Repeat("0", 40) + " *d\n\x00"))
	for _, text := range append(disktest.Seeds("ova", ".mf"), disktest.Seeds("ovf", ".mf")...) {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		m, err := ovf.ParseManifest(bytes.NewReader(p))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := m.Write(&b); err != nil {
			return // a name that cannot be written
		}
		again, err := ovf.ParseManifest(&b)
		if err != nil || len(again.Digests) != len(m.Digests) {
			t.Fatalf("%q became %q: %v", p, b.Bytes(), err)
		}
	})
}

func FuzzCertificate(f *testing.F) {
	for _, key := range keys(f) {
		cert := certify(f, "Acme", key, nil, nil)
		signed, err := ovf.Sign("web.mf", nil, ovf.SHA256, key, []*x509.Certificate{cert})
		if err != nil {
			f.Fatal(err)
		}
		var b bytes.Buffer
		if err := signed.Write(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		c, err := ovf.ParseCertificate(bytes.NewReader(p))
		if err != nil {
			return
		}
		_, _ = c.Verify([]byte("x"), x509.NewCertPool(), time.Unix(1e9, 0))
	})
}
