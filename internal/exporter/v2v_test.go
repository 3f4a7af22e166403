package exporter_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance/envelope"
	"github.com/panalvm/panal/internal/exporter"
	"github.com/panalvm/panal/internal/testenv"
	"github.com/panalvm/panal/ovf"
)

// TestVirtV2VReadsTheAppliance lets virt-v2v, which people move machines with,
// read what is exported: it checks the manifest, too. It knows OVF 1 alone.
func TestVirtV2VReadsTheAppliance(t *testing.T) {
	program := testenv.Need(t, "virt-v2v")
	m, _ := machine(t, "web")
	m.Spec.Firmware.Type = api.UEFI
	for _, c := range []struct {
		version  ovf.Version
		dialect  envelope.Dialect
		compress bool
		digest   ovf.Algorithm
	}{
		{ovf.Version10, envelope.ForVMware, false, ovf.SHA1},
		{ovf.Version11, envelope.ForAny, false, ovf.SHA256},
		{ovf.Version11, envelope.ForVirtualBox, true, ovf.SHA512},
	} {
		o := options("web")
		o.Version, o.Dialect, o.Compress, o.Digest = c.version, c.dialect, c.compress, c.digest
		o.Licence, o.Properties = "Be nice.", map[string]string{"org.example.size": "big"}
		archived, inFolder := archive(t, []exporter.Machine{m}, o), folderOf(t, []exporter.Machine{m}, o)
		for _, path := range []string{archived, inFolder} {
			command := exec.Command(program, "-i", "ova", path, "-o", "null", "--print-source")
			command.Env = append(os.Environ(), "LIBGUESTFS_BACKEND=direct", "LC_ALL=C")
			out, err := command.CombinedOutput()
			if err != nil {
				t.Errorf("%+v, %s: %v: %s", c, filepath.Base(path), err, out)
			}
			for _, want := range []string{"source name: web", fmt.Sprintf("memory: %d", int64(m.Spec.Memory.Size)), "nr vCPUs: 2", "firmware: uefi", "0 [sata]", "mac: 52:54:00:01:02:03 [e1000]"} {
				if !strings.Contains(string(out), want) {
					t.Errorf("%+v, %s: there is no %q in\n%s", c, filepath.Base(path), want, out)
				}
			}
		}
	}
}
