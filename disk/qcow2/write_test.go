package qcow2_test

import (
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/qcow2"
)

// kinds are options of Create that change how the image is written.
var kinds = []map[string]string{
	{},
	{"compat": "v2"},
	{"clusterSize": "512"},
	{"clusterSize": "2M"},
	{"clusterSize": "4096", "refcountBits": "1"},
	{"clusterSize": "512", "refcountBits": "64"},
	{"extendedL2": "on"},
	{"extendedL2": "on", "clusterSize": "16K"},
	{"compression": "zstd"},
	{"dataFile": "content.data"},
	{"dataFile": "content.data", "dataFileRaw": "on"},
}

func label(o map[string]string) string {
	s := "default"
	for _, name := range []string{"compat", "clusterSize", "refcountBits", "extendedL2", "compression", "dataFile", "dataFileRaw"} {
		if v, ok := o[name]; ok {
			s += "," + name + "=" + v
		}
	}
	return s
}

func TestConformance(t *testing.T) {
	for _, o := range kinds {
		t.Run(label(o), func(t *testing.T) {
			format, skip := qcow2.Format, map[string]string{}
			if o["dataFile"] != "" {
				format = parentless()
				skip["compress"] = "nothing in an external data file is compressed"
			}
			if o["clusterSize"] == "2M" {
				for _, name := range []string{"crash", "crash/new", "crash/child", "model", "model/child"} {
					skip[name] = "done with smaller clusters, by the same code and in a tenth of the time"
				}
			}
			for _, name := range spared(o) {
				skip[name] = "tried with other options; with these when PANAL_THOROUGH is set"
			}
			block, err := disk.ParseSize(o["clusterSize"])
			if err != nil {
				block = 64 << 10
			}
			disktest.Run(t, disktest.Subject{Format: format, Options: o, Block: block, Skip: skip, Rare: rare(o)})
		})
	}
}

// rare tells which options are tried by thorough tests only: what is left
// goes through the same code.
func rare(o map[string]string) bool {
	switch {
	case o["compat"] != "", o["compression"] != "", o["dataFileRaw"] != "":
		return true
	case o["extendedL2"] != "":
		return o["clusterSize"] == ""
	}
	return o["clusterSize"] != "" && o["clusterSize"] != "4096"
}

// spared are the checks with power cuts that only thorough tests do with some
// options, as others go through the same code.
func spared(o map[string]string) []string {
	switch {
	case disktest.Thorough() || len(o) == 0:
		return nil
	case o["dataFile"] != "":
		return []string{"crash/new"}
	}
	return []string{"crash", "crash/new"} // "crash/child" does what both do, too
}

// parentless is the format without differencing images: their names for the
// data file would be the same.
func parentless() *disk.Format {
	f := *qcow2.Format
	f.Variants = []disk.Variant{{Create: true, Write: true}}
	return &f
}
