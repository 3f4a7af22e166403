package ova_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/internal/testenv"
	"github.com/panalvm/panal/ovf"
	"github.com/panalvm/panal/ovf/ova"
)

// identity makes a key and a certificate that it signed itself.
func identity(t testing.TB) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Acme"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, made
}

// unseekable hides that a buffer could do more than be written.
type unseekable struct{ io.Writer }

func TestWhatIsWrittenIsRead(t *testing.T) {
	key, cert := identity(t)
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	rapid.Check(t, func(rt *rapid.T) {
		var b bytes.Buffer
		o := ova.WriterOptions{Name: "web", Digest: rapid.SampledFrom(ovf.Algorithms()[1:]).Draw(rt, "digest")}
		if rapid.Bool().Draw(rt, "signed") {
			o.Key, o.Chain = key, []*x509.Certificate{cert}
		}
		w, err := ova.NewWriter(unseekable{&b}, o)
		if err != nil {
			rt.Fatal(err)
		}
		if err := w.WriteDescriptor([]byte(descriptor)); err != nil {
			rt.Fatal(err)
		}
		want := map[string]string{"web.ovf": descriptor}
		for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,120}(/[a-z]{1,90})?`), 0, 4, rapid.ID[string]).Draw(rt, "names") {
			content := strings.Repeat(rapid.StringN(0, 40, -1).Draw(rt, "content"), rapid.SampledFrom([]int{1, 500, 20000}).Draw(rt, "times"))
			want[name] = content
			write(rt, w, name, content, rapid.Bool().Draw(rt, "known"))
		}
		if err := w.Close(); err != nil {
			rt.Fatal(err)
		}
		if b.Len()%512 != 0 {
			rt.Fatalf("the archive has %d bytes", b.Len())
		}
		have, report, err := readAll(&b, ova.Options{})
		if err != nil {
			rt.Fatal(err)
		}
		for name, content := range want {
			if have[name] != content {
				rt.Errorf("%s has %d bytes", name, len(have[name]))
			}
		}
		if len(report.Verified) != len(want) || (report.Signer != nil) != (o.Key != nil) {
			rt.Errorf("the report is %+v", report)
		}
		if s := report.Signer; s != nil && (s.Subject != "CN=Acme" || s.Distrust == nil) {
			rt.Errorf("the signer is %+v", s)
		}
	})
}

func write(rt *rapid.T, w *ova.Writer, name, content string, known bool) {
	if known {
		if err := w.Add(name, int64(len(content)), strings.NewReader(content)); err != nil {
			rt.Fatal(err)
		}
		return
	}
	m, err := w.Create(name, "")
	if err != nil {
		rt.Fatal(err)
	}
	if _, err := io.WriteString(m, content); err != nil {
		rt.Fatal(err)
	}
	if err := m.Close(); err != nil {
		rt.Fatal(err)
	}
}

func TestTrustIsJudgedByRoots(t *testing.T) {
	key, cert := identity(t)
	var b bytes.Buffer
	err := ova.Pack(t.Context(), &b, []byte(descriptor), []ova.PackFile{file("disk1.vmdk", "disk")}, ova.WriterOptions{Name: "web", Key: key, Chain: []*x509.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := ova.Open(bytes.NewReader(b.Bytes()), int64(b.Len()), ova.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range a.Members() {
		names = append(names, m.Name)
	}
	if have := strings.Join(names, " "); have != "web.ovf web.mf web.cert disk1.vmdk" {
		t.Errorf("the members are %s", have)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	for _, trust := range []ova.Trust{{}, {Roots: roots}, {Roots: x509.NewCertPool()}} {
		report, err := a.Verify(t.Context(), trust)
		if err != nil {
			t.Fatal(err)
		}
		if trusted := report.Signer.Distrust == nil; trusted != (trust.Roots == roots) {
			t.Errorf("it is trusted: %v", trusted)
		}
	}
	content, err := io.ReadAll(a.Content(a.Member("disk1.vmdk")))
	if err != nil || string(content) != "disk" {
		t.Errorf("the disk is %q, %v", content, err)
	}
}

func file(name, content string) ova.PackFile {
	return ova.PackFile{Name: name, Size: int64(len(content)), Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }}
}

// In a file, a header is written when its member is; there is no second copy.
func TestFilesNeedNoSpool(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.ova")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := ova.NewWriter(f, ova.WriterOptions{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteDescriptor([]byte(descriptor)); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"a", "b"} {
		m, err := w.Create(part, "/nowhere") // would fail if it was used
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(m, strings.Repeat(part, 700)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(m.Close(), m.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Write([]byte("x")); err == nil {
			t.Error("it takes more after it was closed")
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	have, report, err := readAll(f, ova.Options{})
	if err != nil || have["b"] != strings.Repeat("b", 700) || len(report.Verified) != 3 {
		t.Errorf("%d, %+v, %v", len(have), report, err)
	}
	listed(t, name, "web.ovf a b web.mf")
}

// listed asks tar for the members.
func listed(t *testing.T, name, want string) {
	t.Helper()
	out, err := exec.Command(testenv.Need(t, "tar"), "tf", name).CombinedOutput()
	if have := strings.Join(strings.Fields(string(out)), " "); err != nil || have != want {
		t.Errorf("tar lists %s, %v", have, err)
	}
}

func TestWrongUse(t *testing.T) {
	writer := func(o ova.WriterOptions) *ova.Writer {
		w, err := ova.NewWriter(io.Discard, o)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	begun := func() *ova.Writer {
		w := writer(ova.WriterOptions{Name: "web"})
		if err := w.WriteDescriptor([]byte(descriptor)); err != nil {
			t.Fatal(err)
		}
		return w
	}
	for name, err := range map[string]error{
		"no descriptor first": writer(ova.WriterOptions{Name: "web"}).Add("d", 0, strings.NewReader("")),
		"two descriptors":     begun().WriteDescriptor(nil),
		"a name upwards":      begun().Add("../d", 0, strings.NewReader("")),
		"too little":          begun().Add("d", 5, strings.NewReader("four")),
		"too much":            begun().Add("d", 3, strings.NewReader("four")),
		"a name twice":        begun().Add("WEB.ovf", 0, strings.NewReader("")),
		"nothing at all":      writer(ova.WriterOptions{Name: "web"}).Close(),
		"another key":         signedByAnother(t),
		"a broken promise":    promised(t, begun(), "disk", "disc"),
		"an empty promise":    promised(t, begun(), "disk", ""),
		"another digest":      begun().WriteManifest([]ovf.Digest{{File: "d", Algorithm: ovf.SHA1}}),
	} {
		if err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := ova.NewWriter(io.Discard, ova.WriterOptions{Name: "/abs"}); err == nil {
		t.Error("an absolute name is taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ova.Pack(ctx, io.Discard, []byte(descriptor), []ova.PackFile{file("d", "disk")}, ova.WriterOptions{Name: "web"}); !errors.Is(err, context.Canceled) {
		t.Errorf("when it is cancelled: %v", err)
	}
}

func signedByAnother(t *testing.T) error {
	key, _ := identity(t)
	_, cert := identity(t)
	return ova.Pack(t.Context(), io.Discard, []byte(descriptor), nil, ova.WriterOptions{Name: "web", Key: key, Chain: []*x509.Certificate{cert}})
}

func promised(t *testing.T, w *ova.Writer, promise, content string) error {
	h := ovf.SHA256.New()
	h.Write([]byte(promise))
	if err := w.WriteManifest([]ovf.Digest{{File: "d", Algorithm: ovf.SHA256, Sum: h.Sum(nil)}}); err != nil {
		t.Fatal(err)
	}
	if content == "" {
		return w.Close()
	}
	err := w.Add("d", int64(len(content)), strings.NewReader(content))
	if !errors.Is(err, ovf.ErrDigest) {
		t.Errorf("another content: %v", err)
	}
	return err
}

// Beyond 8 GiB a size has no room in a ustar header.
func TestHugeMembers(t *testing.T) {
	const size = 9 << 30
	in, out := io.Pipe()
	written := make(chan error, 1)
	go func() {
		w, err := ova.NewWriter(out, ova.WriterOptions{Name: "web", NoManifest: true})
		if err == nil {
			err = w.WriteDescriptor([]byte(descriptor))
		}
		if err == nil {
			err = w.Add("disk", size, io.LimitReader(&endless{}, size))
		}
		if err == nil {
			err = w.Close()
		}
		out.CloseWithError(err)
		written <- err
	}()
	r, err := ova.NewReader(in, ova.Options{Digests: []ovf.Algorithm{}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var sizes []int64
	for {
		m, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, m.Size)
	}
	if err := <-written; err != nil || len(sizes) != 2 || sizes[1] != size {
		t.Errorf("the sizes are %d, %v", sizes, err)
	}
}
