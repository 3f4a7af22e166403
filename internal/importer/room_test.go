package importer

import (
	"errors"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// What stands in an image before it is known where it belongs is counted, and kept only as long as
// there is room.
func TestWhatIsKeptAsideIsCounted(t *testing.T) {
	looks := 0
	fsys := memfs.New()
	c := &Content{options: ReceiveOptions{
		Stage: func() (disk.File, error) { return fsys.Create("aside") },
		Room: func() error {
			if looks++; looks > 2 {
				return errors.New("no room is left")
			}
			return nil
		},
	}}
	file, err := c.streamOptions().Keep()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	block := make([]byte, 1<<20)
	for at := int64(0); err == nil; at += int64(len(block)) {
		_, err = file.WriteAt(block, at)
	}
	if err.Error() != "no room is left" || c.Aside() != 2*between {
		t.Errorf("%d bytes were kept, then %v", c.Aside(), err)
	}
}
