package vbox

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/appliancetest"
)

func TestNothingIsDroppedInSilence(t *testing.T) {
	for _, file := range disktest.CorpusFiles(t, "vbox") {
		data, err := os.ReadFile(file.Path)
		if err != nil || !strings.HasSuffix(file.Name, ".vbox") {
			continue
		}
		key := func(path string) (string, bool) {
			path, inMachine := strings.CutPrefix(path, "VirtualBox/Machine")
			return strings.TrimPrefix(path, "/"), inMachine && !strings.HasPrefix(path, "/Snapshot")
		}
		disabled := strings.Contains(string(data), `enabled="false"`)
		text := string(data)
		if disabled { // what is switched off says nothing
			text = strings.ReplaceAll(text, `enabled="false"`, `enabled="true"`)
		}
		appliancetest.Told(t, text, rules, key, func(document string) (*appliance.Appliance, error) {
			return Read(fstest.MapFS{"x.vbox": {Data: []byte(document)}}, "x.vbox")
		})
		return // they are much alike
	}
}
