package pvs

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/appliancetest"
)

func TestNothingIsDroppedInSilence(t *testing.T) {
	document, err := os.ReadFile("testdata/config.pvs")
	if err != nil {
		t.Fatal(err)
	}
	key := func(path string) (string, bool) {
		return strings.TrimPrefix(strings.TrimPrefix(path, "ParallelsVirtualMachine"), "/"), true
	}
	appliancetest.Told(t, string(document), rules, key, func(document string) (*appliance.Appliance, error) {
		return Read(fstest.MapFS{"config.pvs": {Data: []byte(document)}, "web.hdd/DiskDescriptor.xml": {}}, "config.pvs")
	})
}
