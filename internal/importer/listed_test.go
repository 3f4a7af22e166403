package importer_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/importer"
	"github.com/panalvm/panal/ovf"
)

func digest(name, text string) string {
	return fmt.Sprintf("SHA256(%s)= %x\n", name, sha256.Sum256([]byte(text)))
}

func TestWhatAManifestLeavesOutIsSaid(t *testing.T) {
	d := descriptor(`ovf:href="d.img"`, len(content))
	whole := digest("a.ovf", d) + digest("d.img", content)
	for name, c := range map[string]struct{ manifest, want string }{
		"nothing":        {whole, ""},
		"the disk":       {digest("a.ovf", d), "the manifest does not mention d.img"},
		"the descriptor": {digest("d.img", content), "the manifest does not mention a.ovf"},
	} {
		for where, path := range map[string]string{
			"folder":  filepath.Join(folder(t, "a.ovf", d, "a.mf", c.manifest, "d.img", content), "a.ovf"),
			"archive": filepath.Join(folder(t, "a.ova", archive(t, "a.ovf", d, "a.mf", c.manifest, "d.img", content)), "a.ova"),
		} {
			s, err := importer.Open(path, appliance.Choices{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Verify(context.Background(), importer.Trust{})
			if findings := strings.Join(got.Findings, "; "); err != nil || findings != c.want {
				t.Errorf("%s in a %s: %q, %v, want %q", name, where, findings, err, c.want)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// signature signs a manifest by a key of its own.
func signature(t *testing.T, manifest string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := ovf.Sign("a.mf", []byte(manifest), ovf.SHA256, key, []*x509.Certificate{certificate})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := signed.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestASignedManifestLeavesNothingOut(t *testing.T) {
	d := descriptor(`ovf:href="d.img"`, len(content))
	bare, err := importer.Open(filepath.Join(folder(t, "a.ovf", d, "a.cert", signature(t, digest("a.ovf", d)), "d.img", content), "a.ovf"), appliance.Choices{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bare.Verify(context.Background(), importer.Trust{}); err == nil || !strings.Contains(err.Error(), "no manifest a.mf") {
		t.Errorf("a certificate without a manifest: %v", err)
	}
	if err := bare.Close(); err != nil {
		t.Error(err)
	}
	for manifest, want := range map[string]string{
		digest("a.ovf", d) + digest("d.img", content): "",
		digest("a.ovf", d):       "its manifest does not mention d.img",
		digest("d.img", content): "its manifest does not mention a.ovf",
	} {
		cert := signature(t, manifest)
		for where, path := range map[string]string{
			"folder":  filepath.Join(folder(t, "a.ovf", d, "a.mf", manifest, "a.cert", cert, "d.img", content), "a.ovf"),
			"archive": filepath.Join(folder(t, "a.ova", archive(t, "a.ovf", d, "a.mf", manifest, "a.cert", cert, "d.img", content)), "a.ova"),
		} {
			s, err := importer.Open(path, appliance.Choices{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Verify(context.Background(), importer.Trust{})
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s: %v, want %q", where, err, want)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestTheBeginningTellsTheFormat(t *testing.T) {
	qcow := "QFI\xfb\x00\x00\x00\x03" + strings.Repeat("\x00", 600)
	for name, c := range map[string]struct {
		attributes string
		files      []string
		want       string // format, or what the error says
		length     int64
	}{
		"compressed":        {`ovf:href="d.img" ovf:compression="gzip"`, []string{"d.img", zipped(t, qcow)}, "qcow2", int64(len(zipped(t, qcow)))},
		"in parts":          {`ovf:href="d.img" ovf:chunkSize="300"`, []string{"d.img.000000000", qcow[:300], "d.img.000000001", qcow[300:600], "d.img.000000002", qcow[600:]}, "qcow2", 608},
		"no gzip":           {`ovf:href="d.img" ovf:compression="gzip"`, []string{"d.img", qcow}, "gzip: invalid header", 608},
		"cut off":           {`ovf:href="d.img" ovf:compression="gzip"`, []string{"d.img", zipped(t, qcow)[:20]}, "unexpected EOF", 20},
		"not there":         {`ovf:href="d.img" ovf:chunkSize="300"`, nil, "d.img.000000000", -1},
		"another algorithm": {`ovf:href="d.img" ovf:compression="lzma"`, []string{"d.img", qcow}, "lzma", 608},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, append(c.files, "a.ovf", descriptor(c.attributes, 65536))...)
			s, err := importer.Open(filepath.Join(dir, "a.ovf"), appliance.Choices{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			d := s.Appliance.Machines[0].Disks[0]
			format, err := s.Peek(context.Background(), d)
			if err != nil {
				format = err.Error()
			}
			if !strings.Contains(format, c.want) {
				t.Errorf("got %q, want %q", format, c.want)
			}
			if got := s.Length(d); got != c.length {
				t.Errorf("it has %d bytes, want %d", got, c.length)
			}
		})
	}
}
