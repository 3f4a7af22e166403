package manager

import (
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
)

// A description's size that differs from the file's is told either way, and not believed when no disk can have it.
func TestSizesOfDescriptionAndFile(t *testing.T) {
	const file = 8 << 20
	for name, c := range map[string]struct {
		described int64
		inPlace   bool
		size      api.Size
		note      string
	}{
		"the same":           {file, false, file, ""},
		"none":               {0, false, file, ""},
		"larger":             {2 * file, false, 2 * file, "its file holds 8388608 bytes, and the description says 16777216; the rest is zeros"},
		"larger, in place":   {2 * file, true, file, "it has the 8388608 bytes of its file, and not the 16777216 of the description"},
		"smaller":            {file / 2, false, file, "it has the 8388608 bytes of its file, and not the 4194304"},
		"beyond all measure": {1 << 50, false, file, "it has the size of its file, and not the 1125899906842624 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			var planned plannedMachine
			drive := api.Drive{Kind: api.Disk, Size: file}
			planned.reconcile(&drive, planned.believed(appliance.Disk{Drive: "disk0", File: "d", Size: c.described}), c.inPlace)
			notes := strings.Join(planned.notes, "\n")
			if drive.Size != c.size || !strings.Contains(notes, c.note) || (c.note == "") != (notes == "") || len(planned.notes) > 1 {
				t.Errorf("%d bytes, %q", drive.Size, notes)
			}
		})
	}
}

// How large a disk is that is compressed, or cut into parts, shows when it is read; it is told then, and once.
func TestSizesThatShowWhenADiskIsRead(t *testing.T) {
	const described = 8 << 20
	for name, c := range map[string]struct {
		read int64
		size api.Size
		note string
	}{
		"the same": {described, described, ""},
		"shorter":  {described / 2, described, "disk disk0: its file holds 4194304 bytes, and the description says 8388608; the rest is zeros"},
		"longer":   {described * 2, described * 2, "disk disk0: it has the 16777216 bytes of its file, and not the 8388608 of the description"},
	} {
		t.Run(name, func(t *testing.T) {
			var planned plannedMachine
			drive := api.Drive{Kind: api.Disk, Size: described}
			for range 2 {
				planned.settle(&drive, appliance.Disk{Drive: "disk0", File: "d", Size: described}, c.read)
			}
			if notes := strings.Join(planned.notes, "\n"); drive.Size != c.size || notes != c.note {
				t.Errorf("%d bytes, %q", drive.Size, notes)
			}
		})
	}
}
