package api

import "time"

// Medium is a disk, optical or floppy image that Panal knows: because it was
// added to the registry, or because a machine uses it.
type Medium struct {
	UUID        string      `json:"uuid" doc:"its name in the registry; of an image that carries a UUID itself, that one"`
	Registered  bool        `json:"registered" doc:"it is known by itself, and not only because a machine uses it"`
	Kind        DriveKind   `json:"kind,omitempty" enum:"disk,optical,floppy"`
	Format      string      `json:"format,omitempty"`
	Size        Size        `json:"size,omitempty" doc:"virtual size, which a guest sees"`
	Actual      Size        `json:"actual,omitempty" doc:"bytes that its own files take up"`
	Location    string      `json:"location" doc:"absolute path"`
	Owner       string      `json:"owner,omitempty" doc:"name of the machine whose folder it is in"`
	WriteModes  []WriteMode `json:"writeModes,omitempty" doc:"those of the drives that it is in"`
	Users       []MediumUse `json:"users,omitempty" doc:"the drives that it is in, or that stand on it"`
	Parent      string      `json:"parent,omitempty" doc:"UUID of the medium that it is a difference to"`
	Children    []string    `json:"children,omitempty" doc:"UUIDs of the media that are differences to it"`
	Description string      `json:"description,omitempty"`
	Encrypted   bool        `json:"encrypted,omitempty"`
	Created     *time.Time  `json:"created,omitempty" doc:"when it was added"`
	Problem     string      `json:"problem,omitempty" doc:"why it is inaccessible: it is gone, cannot be read, or is another one than was added"`
}

// MediumUse is one use of a medium.
type MediumUse struct {
	Machine string `json:"machine" doc:"UUID"`
	Name    string `json:"name" doc:"the machine's"`
	Drive   string `json:"drive"`
	State   State  `json:"state"`
	Base    bool   `json:"base,omitempty" doc:"the drive stands on it and does not write it"`
	Held    string `json:"snapshot,omitempty" doc:"name of the snapshot that holds it; empty for the present"`
}

// MediumList is the media, by their locations.
type MediumList struct {
	Media []Medium `json:"media"`
}

// MakeMediumRequest asks for a new image in the registry: an empty one, or a
// copy of another.
type MakeMediumRequest struct {
	Source      string    `json:"source,omitempty" doc:"UUID, unique prefix or absolute path of what to copy; empty for an empty image"`
	Path        string    `json:"path,omitempty" doc:"absolute path of the new image, which must not exist; default in the registry's own folder, under the source's name"`
	Format      string    `json:"format,omitempty" doc:"such as qcow2, raw or vdi:fixed; default by the path's ending, else qcow2"`
	Size        Size      `json:"size,omitempty" doc:"virtual size of an empty image"`
	Kind        DriveKind `json:"kind,omitempty" enum:"disk,optical,floppy" doc:"default by the content, else disk"`
	Description string    `json:"description,omitempty"`
	Fixed       bool      `json:"fixed,omitempty" doc:"take up the whole room at once, where the format can: as preallocation=falloc"`
	// Preallocation is of the new image, whatever that of a source is.
	Preallocation Preallocation `json:"preallocation,omitempty" enum:"off,metadata,falloc,full" doc:"how much of its room it takes up before it is needed; default off"`
	// Encrypt needs Passphrase. A copy is encrypted only if that is wanted, whatever the source is.
	Encrypt          bool   `json:"encrypt,omitempty" doc:"encrypt the new image by LUKS; it is qcow2 then"`
	Passphrase       string `json:"passphrase,omitempty" doc:"of the new image; it is not kept"`
	SourcePassphrase string `json:"sourcePassphrase,omitempty" doc:"of a source that is encrypted; it is not kept"`
}

// Preallocation is how much of its room an image takes up before it is needed, in qemu-img's words.
type Preallocation string

// The preallocations.
const (
	// PreallocateNothing has the image grow as it is written.
	PreallocateNothing Preallocation = "off"
	// PreallocateMetadata gives each block its place: raw images have no such thing.
	PreallocateMetadata Preallocation = "metadata"
	// Falloc has the file system give the whole room at once.
	Falloc Preallocation = "falloc"
	// PreallocateFull writes zeros to the whole room.
	PreallocateFull Preallocation = "full"
)

// MediumPassphraseRequest changes the passphrases of an encrypted medium, and of all that have its
// key: its differences, snapshots and linked clones. None is kept.
type MediumPassphraseRequest struct {
	Passphrase string `json:"passphrase" doc:"one that opens it"`
	Add        string `json:"add,omitempty" doc:"one that is to open it too, or instead"`
	Remove     bool   `json:"remove,omitempty" doc:"passphrase is to open it no more; one has to be left"`
}

// MediumPassphrases is what opens an encrypted medium.
type MediumPassphrases struct {
	Passphrases int      `json:"passphrases" doc:"how many there are; 8 at most"`
	Images      []string `json:"images" doc:"absolute paths of the images that they open"`
}

// AddMediumRequest makes a file known.
type AddMediumRequest struct {
	Path        string `json:"path" doc:"absolute path"`
	Format      string `json:"format,omitempty" doc:"found by the content when left out"`
	Description string `json:"description,omitempty"`
	NewUUID     bool   `json:"newUUID,omitempty" doc:"know it by another UUID than the one it carries: for a copy of a medium that is known"`
}

// MoveMediumRequest says where an image is to lie.
type MoveMediumRequest struct {
	Path string `json:"path" doc:"absolute path, at which nothing is; or of a directory"`
}

// Compaction is what has come of making a medium's files smaller.
type Compaction struct {
	Before  Size `json:"before" doc:"bytes that its files took up"`
	After   Size `json:"after" doc:"bytes that they take up now"`
	Trimmed Size `json:"trimmed,omitempty" doc:"where a guest was asked: bytes that its file systems gave up, as it says, on all its disks"`
}

// RemoveMediumRequest says what becomes of a removed medium's file.
type RemoveMediumRequest struct {
	DeleteFile bool `json:"deleteFile,omitempty" doc:"remove the file too"`
}

// ChangeMediumRequest changes a medium. What is left out stays.
type ChangeMediumRequest struct {
	Description *string `json:"description,omitempty"`
	Size        Size    `json:"size,omitempty" doc:"a larger virtual size, also while a guest runs"`
	// Preallocation goes with Size. Left out, an image that takes up all its room does afterwards.
	Preallocation Preallocation `json:"preallocation,omitempty" enum:"off,falloc" doc:"whether a disk that is made larger takes up its whole room at once; default as it does now"`
	// WriteMode is set on every drive that the medium is in.
	WriteMode WriteMode `json:"writeMode,omitempty" enum:"normal,writethrough,shareable,immutable,multiattach,readonly" doc:"that of every drive that it is in, while their machines are off"`
}

// UnreferencedFiles are files in the registry's folder and in folders of machines
// that nothing refers to.
type UnreferencedFiles struct {
	Files   []UnreferencedFile `json:"files"`
	Removed bool               `json:"removed,omitempty"`
}

// UnreferencedFile is a file that nothing refers to.
type UnreferencedFile struct {
	Path string `json:"path"`
	Size Size   `json:"size" doc:"bytes that it takes up"`
}

// PruneRequest says what becomes of unreferenced files.
type PruneRequest struct {
	Delete bool `json:"delete,omitempty" doc:"remove them; else they are only listed"`
}
