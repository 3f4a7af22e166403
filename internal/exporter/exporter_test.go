package exporter_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/envelope"
	"github.com/panalvm/panal/internal/exporter"
	"github.com/panalvm/panal/internal/importer"
	"github.com/panalvm/panal/internal/testenv"
	"github.com/panalvm/panal/ovf"
)

// smallDisk makes an image of some size and content, which is returned.
func smallDisk(t *testing.T, name string, size int64) (disk.Image, []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	img, err := disk.Create(path, disk.CreateOptions{FS: hostfs.Everywhere(), Formats: formats.All(), Format: "qcow2", Size: size})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = img.Close() })
	content := make([]byte, size)
	copy(content[size/3:], strings.Repeat(name+" was here, ", 10000))
	r := mathrand.New(mathrand.NewPCG(1, 2)) //nolint:gosec // content, no secret
	for i := range 100 << 10 {
		content[size/3*2+int64(i)] = byte(r.Uint32())
	}
	if _, err := img.(disk.Writer).WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	return img, content
}

// machine makes a machine with a disk of some content, which is returned.
func machine(t *testing.T, name string) (exporter.Machine, []byte) {
	t.Helper()
	img, content := smallDisk(t, name, 3<<20)
	b := appliance.NewBuilder(name)
	b.Name(name)
	b.CPUs(2, 0)
	b.Spec().Memory.Size = api.GiB
	b.Drive(api.Disk, b.Controller(api.SATA), 0, &appliance.Disk{File: "x", Size: 3 << 20})
	b.Adapter(api.AdapterE1000, "52:54:00:01:02:03", "NAT", true)
	return exporter.Machine{Spec: b.Finish().Spec, Images: map[string]disk.Image{"disk0": img}}, content
}

// options are the usual ones.
func options(name string) exporter.Options {
	return exporter.Options{Name: name, Version: ovf.Version11, Dialect: envelope.ForAny}
}

// holds imports what was exported and compares the content of the disk of a
// machine.
func holds(t *testing.T, path string, n int, want []byte, trust importer.Trust) importer.Integrity {
	t.Helper()
	s, err := importer.Open(path, appliance.Choices{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	integrity, err := s.Verify(context.Background(), trust)
	if err != nil {
		t.Fatal(err)
	}
	img, err := s.Image(context.Background(), s.Appliance.Machines[n].Disks[0], t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	got := make([]byte, img.Size())
	if _, err := img.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the disk holds something else")
	}
	return integrity
}

// archive exports into a file.
func archive(t *testing.T, machines []exporter.Machine, o exporter.Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "web.ova")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := exporter.ToArchive(context.Background(), file, machines, o); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnArchiveIsImportedAgain(t *testing.T) {
	m, content := machine(t, "web")
	for _, version := range []ovf.Version{ovf.Version10, ovf.Version11, ovf.Version20} {
		for _, format := range []string{"", "vhd:dynamic", "raw", "qcow2"} {
			o := options("web")
			o.Version, o.Format = version, format
			path := archive(t, []exporter.Machine{m}, o)
			if got := holds(t, path, 0, content, importer.Trust{}); got.Text != "2 files are what the manifest says; it is not signed" {
				t.Errorf("integrity: %s", got.Text)
			}
		}
	}
}

func TestSeveralMachinesBecomeOneAppliance(t *testing.T) {
	db, first := machine(t, "db")
	web, second := machine(t, "web")
	o := options("shop")
	o.Licence = "Be nice."
	path := archive(t, []exporter.Machine{db, web}, o)
	holds(t, path, 0, first, importer.Trust{})
	holds(t, path, 1, second, importer.Trust{})
	s, err := importer.Open(path, appliance.Choices{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if len(s.Appliance.Licences) != 2 || s.Appliance.Licences[0].Text != "Be nice." {
		t.Errorf("licences %v", s.Appliance.Licences)
	}
}

// pipe hides that a buffer can be sought in.
type pipe struct{ bytes.Buffer }

func TestAPipeTakesAnArchive(t *testing.T) {
	m, content := machine(t, "web")
	var out pipe
	if err := exporter.ToPipe(context.Background(), &out, []exporter.Machine{m}, options("web")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "web.ova")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	holds(t, path, 0, content, importer.Trust{})
}

// signer makes a key and a certificate of its own.
func signer(t *testing.T) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Acme"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, certificate
}

func TestASignatureTellsWhoExported(t *testing.T) {
	m, content := machine(t, "web")
	key, certificate := signer(t)
	o := options("web")
	o.Key, o.Chain, o.Digest = key, []*x509.Certificate{certificate}, ovf.SHA512
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	dir := t.TempDir()
	create := func(name string) (io.WriteCloser, error) { return os.Create(filepath.Join(dir, name)) }
	if err := exporter.ToFolder(context.Background(), create, []exporter.Machine{m}, o); err != nil {
		t.Fatal(err)
	}
	for where, path := range map[string]string{"archive": archive(t, []exporter.Machine{m}, o), "folder": dir} {
		if got := holds(t, path, 0, content, importer.Trust{Roots: roots}); !strings.Contains(got.Text, "signed by CN=Acme, which") {
			t.Errorf("%s: %s", where, got.Text)
		}
		if got := holds(t, path, 0, content, importer.Trust{Roots: x509.NewCertPool()}); !strings.Contains(got.Text, "which is not trusted") {
			t.Errorf("%s: %s", where, got.Text)
		}
	}
}

func TestOneBitAnotherIsRefused(t *testing.T) {
	m, _ := machine(t, "web")
	path := archive(t, []exporter.Machine{m}, options("web"))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := importer.Open(path, appliance.Choices{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Verify(context.Background(), importer.Trust{}); err == nil || !strings.Contains(err.Error(), "web-disk0.vmdk") {
		t.Errorf("got %v", err)
	}
}

func TestOtherProgramsReadTheDisk(t *testing.T) {
	program := testenv.Need(t, "qemu-img")
	m, content := machine(t, "web")
	dir := t.TempDir()
	create := func(name string) (io.WriteCloser, error) { return os.Create(filepath.Join(dir, name)) }
	if err := exporter.ToFolder(context.Background(), create, []exporter.Machine{m}, options("web")); err != nil {
		t.Fatal(err)
	}
	raw := filepath.Join(dir, "disk.raw")
	if out, err := exec.Command(program, "convert", "-O", "raw", filepath.Join(dir, "web-disk0.vmdk"), raw).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, content) {
		t.Error("qemu-img reads something else")
	}
}

func TestTheSameMachineMakesTheSameFiles(t *testing.T) {
	m, _ := machine(t, "web")
	var files [2][]byte
	for i := range files {
		data, err := os.ReadFile(archive(t, []exporter.Machine{m}, options("web")))
		if err != nil {
			t.Fatal(err)
		}
		// The descriptor is the same; disks have identifiers of their own.
		files[i] = data[:4096]
	}
	if diff := cmp.Diff(string(files[0]), string(files[1])); diff != "" {
		t.Error(diff)
	}
}

func TestACancelStopsAnExport(t *testing.T) {
	m, _ := machine(t, "web")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := exporter.ToPipe(ctx, &pipe{}, []exporter.Machine{m}, options("web")); err == nil {
		t.Error("it went on")
	}
}
