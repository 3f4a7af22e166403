package manager

import (
	"hash/maphash"
	"sync"

	"github.com/panalvm/panal/internal/folder"
)

// documents are held while machine.json of a folder is prepared, its record is committed, and the file
// is put in place: whoever looks at the two in between would see them differ. Folders share
// mutexes, so nobody holds one and asks for another.
type documents struct {
	seed    maphash.Seed
	mutexes [64]sync.Mutex
}

// hold holds the document of a folder, until the function is called that it returns.
func (d *documents) hold(dir folder.Folder) (release func()) {
	mutex := &d.mutexes[maphash.String(d.seed, string(dir))%uint64(len(d.mutexes))]
	mutex.Lock()
	return mutex.Unlock
}
