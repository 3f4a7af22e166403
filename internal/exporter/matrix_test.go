package exporter_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/appliancetest"
	"github.com/panalvm/panal/internal/appliance/envelope"
	"github.com/panalvm/panal/internal/exporter"
	"github.com/panalvm/panal/internal/importer"
	board "github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/ovf"
)

// versions are those that machines are exported in.
var versions = map[string]ovf.Version{"1.0": ovf.Version10, "1.1": ovf.Version11, "2.0": ovf.Version20}

// streamable are all kinds of images that can be exported.
func streamable(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, f := range formats.All() {
		for _, v := range f.Variants {
			name := strings.TrimSuffix(f.Name+":"+v.Name, ":")
			if exporter.CheckFormat(name) == nil {
				names = append(names, name)
			}
		}
	}
	if len(names) < 4 {
		t.Fatalf("only %v can be exported", names)
	}
	return names
}

// machineOn has a small disk on controllers of the kinds given, and adapters of
// all models. The digests of the disks are returned.
func machineOn(t *testing.T, kinds ...api.ControllerType) (exporter.Machine, map[string]string) {
	t.Helper()
	b := appliance.NewBuilder("rich")
	b.Name("rich machine")
	b.CPUs(4, 2)
	b.Board(board.BoardPC)
	b.Spec().Memory.Size = 3 * api.GiB
	b.Spec().Description = "two lines <&>\nof text"
	b.UEFI(false)
	m := exporter.Machine{Images: map[string]disk.Image{}}
	sums := map[string]string{}
	for _, kind := range kinds {
		img, content := smallDisk(t, string(kind), 1<<20)
		name := b.Drive(api.Disk, b.Controller(kind), 0, &appliance.Disk{File: "x", Size: img.Size()})
		m.Images[name], sums[name] = img, digestOf(content)
	}
	b.Drive(api.Optical, b.Controller(kinds[0]), 3, nil)
	for i, model := range []api.AdapterModel{
		api.AdapterVirtio, api.AdapterE1000, api.AdapterE1000E, api.AdapterRTL8139, api.AdapterPCnet, api.AdapterVMXNet3,
	} {
		b.Adapter(model, fmt.Sprintf("52:54:00:01:02:%02x", i), "NAT", i%2 == 0)
	}
	b.Serial()
	m.Spec = b.Finish().Spec
	return m, sums
}

func digestOf(p []byte) string {
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:])
}

// TestWhatIsExportedComesBack exports a machine for every program, in every
// version and every kind of image, and imports it again: its disks have to be
// what they were, by their digests.
func TestWhatIsExportedComesBack(t *testing.T) {
	kinds := streamable(t)
	for _, dialect := range envelope.Dialects() {
		for version, v := range versions {
			for _, kind := range kinds {
				t.Run(fmt.Sprintf("%s/%s/%s", dialect, version, kind), func(t *testing.T) {
					t.Parallel()
					m, sums := machineOn(t, api.SATA, api.PVSCSI)
					o := options("rich")
					o.Dialect, o.Version, o.Format = dialect, v, kind
					comesBack(t, archive(t, []exporter.Machine{m}, o), sums)
				})
			}
		}
	}
}

// TestHardwareComesBack exports a machine with all kinds of hardware for every
// program, and imports it again. What became of it is in the golden file, and is
// the same in every version of OVF.
func TestHardwareComesBack(t *testing.T) {
	m, sums := machineOn(t, api.IDE, api.SATA, api.VirtioSCSI, api.LSILogic, api.LSISAS, api.PVSCSI, api.VirtioBlk, api.NVMe)
	var out strings.Builder
	for _, dialect := range envelope.Dialects() {
		first := ""
		for version, v := range versions {
			o := options("rich")
			o.Dialect, o.Version, o.Format = dialect, v, "raw"
			back := strings.ReplaceAll(comesBack(t, archive(t, []exporter.Machine{m}, o), sums), "OVF "+version, "OVF")
			if first != "" && first != back {
				t.Errorf("for %s it is another machine in OVF %s:\n%s", dialect, version, back)
			}
			first = back
		}
		fmt.Fprintf(&out, "== %s\n%s", dialect, first)
	}
	appliancetest.Golden(t, "testdata/back.golden", out.String())
}

// comesBack imports an archive, compares all of its disks with their digests,
// and tells what the machine is.
func comesBack(t *testing.T, path string, sums map[string]string) string {
	t.Helper()
	s, err := importer.Open(path, appliance.Choices{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Verify(context.Background(), importer.Trust{}); err != nil {
		t.Fatal(err)
	}
	m := s.Appliance.Machines[0]
	if len(m.Disks) != len(sums) {
		t.Errorf("there are %d disks, and were %d", len(m.Disks), len(sums))
	}
	for _, d := range m.Disks {
		if got := readDisk(t, s, d); got != sums[d.Drive] {
			t.Errorf("%s holds something else", d.Drive)
		}
	}
	appliancetest.Valid(t, path, m.Spec)
	return appliancetest.Summary(s.Appliance) + fmt.Sprintf("  described as %q\n", m.Spec.Description)
}

// readDisk is the digest of a disk.
func readDisk(t *testing.T, s *importer.Source, d appliance.Disk) string {
	t.Helper()
	img, err := s.Image(context.Background(), d, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(img, 0, img.Size())); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// TestABitAnotherIsNamed changes a bit of each file of an appliance in a
// folder, and of each member of an archive: the import names what is wrong.
func TestABitAnotherIsNamed(t *testing.T) {
	m, _ := machine(t, "web")
	for _, algorithm := range []ovf.Algorithm{ovf.SHA1, ovf.SHA256, ovf.SHA512} {
		o := options("web")
		o.Digest = algorithm
		dir := t.TempDir()
		create := func(name string) (io.WriteCloser, error) { return os.Create(filepath.Join(dir, name)) }
		if err := exporter.ToFolder(context.Background(), create, []exporter.Machine{m}, o); err != nil {
			t.Fatal(err)
		}
		for name, wrong := range map[string]string{"web.ovf": "web.ovf", "web-disk0.vmdk": "web-disk0.vmdk", "web.mf": "web"} {
			t.Run(fmt.Sprintf("%s %s", algorithm, name), func(t *testing.T) {
				path := filepath.Join(dir, name)
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				defer os.WriteFile(path, text, 0o600) //nolint:errcheck // the next one tells
				if err := os.WriteFile(path, flipped(name, text), 0o600); err != nil {
					t.Fatal(err)
				}
				err = verifies(dir)
				if err == nil || !strings.Contains(err.Error(), wrong) {
					t.Errorf("got %v", err)
				}
			})
		}
		if err := verifies(dir); err != nil {
			t.Errorf("as it was: %v", err)
		}
	}
}

// flipped is a file with one bit another, where the file is still one: in a
// text of a descriptor, in the middle of a disk, in a digest of a manifest.
func flipped(name string, text []byte) []byte {
	changed := []byte(string(text))
	at := len(changed) / 2
	switch filepath.Ext(name) {
	case ".ovf":
		at = strings.Index(string(changed), "virtual CPUs")
	case ".mf":
		at = strings.LastIndex(string(changed), "= ") + 2
		changed[at] = map[bool]byte{true: '1', false: '0'}[changed[at] == '0']
		return changed
	}
	changed[at] ^= 1
	return changed
}

func verifies(path string) error {
	s, err := importer.Open(path, appliance.Choices{})
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Verify(context.Background(), importer.Trust{})
	return err
}
