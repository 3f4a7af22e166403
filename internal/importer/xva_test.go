package importer_test

import (
	"crypto/sha1" //nolint:gosec // the format's
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/importer"
)

// The checksums of an export are compared without reading its disks for anything else, so before a machine
// runs from it where it lies; and what has none is counted.
func TestChecksumsOfAnExportOfXenServer(t *testing.T) {
	const mib = 1 << 20
	chunk := strings.Repeat("a", mib)
	sum := sha1.Sum([]byte(chunk)) //nolint:gosec // as above
	good, zeros := hex.EncodeToString(sum[:]), strings.Repeat("0", 40)
	two := func(first, second string) []string {
		members := []string{"Ref:2/00000000", chunk, "Ref:2/00000000.checksum", first, "Ref:2/00000001", chunk, "Ref:2/00000001.checksum", second}
		if second == "" {
			members = members[:6]
		}
		return members
	}
	for name, c := range map[string]struct {
		size    int
		members []string
		wrong   string // of the error; "" for none
		text    string
		finding string
	}{
		"all":             {2 * mib, two(good, good), "", "2 chunks are what their checksums say", ""},
		"one is wrong":    {2 * mib, two(good, zeros), "chunk Ref:2/00000001 has the checksum", "", ""},
		"one is missing":  {2 * mib, two(good, ""), "", "1 of its 2 chunks are what", "1 of its 2 chunks have no checksum, the first is Ref:2/00000001"},
		"none":            {mib, []string{"Ref:2/00000000", chunk}, "", "its chunks have no checksums", ""},
		"more than fits":  {mib, two(good, good), "chunk Ref:2/00000001, at 1048576 of the disk, lies behind", "", ""},
		"one far behind":  {mib, []string{"Ref:2/00000000", chunk, "Ref:2/99999999", chunk}, "chunk Ref:2/99999999, at ", "", ""},
		"the end is gone": {3 * mib, two(good, good), "the last chunk of Ref:2 is missing", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			whole := exportOf(t, c.size, c.members...)
			source, err := importer.Open(filepath.Join(folder(t, "a.xva", whole), "a.xva"), appliance.Choices{})
			if err != nil {
				t.Fatal(err)
			}
			defer source.Close()
			got, err := source.Verify(t.Context(), importer.Trust{})
			if c.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) {
					t.Errorf("got %v, want %q", err, c.wrong)
				}
				if _, err := received(t, strings.NewReader(whole), importer.ReceiveOptions{}); err == nil || !strings.Contains(err.Error(), c.wrong) {
					t.Errorf("through a pipe: got %v, want %q", err, c.wrong)
				}
				return
			}
			if err != nil || !strings.Contains(got.Text, c.text) || !strings.Contains(strings.Join(got.Findings, "\n"), c.finding) || (c.finding == "") != (len(got.Findings) == 0) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}
