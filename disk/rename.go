package disk

import "fmt"

// Renamer is an FS that can put one file in the place of another. For images
// whose files say of each other what they are, and can be changed safely only
// by being replaced.
type Renamer interface {
	// Rename gives the file called from the name to, which lies in the same
	// directory; a file that was called so is gone, but for those who have it open.
	// It is done or not done, also when the power goes in between, and durable when it returns.
	Rename(from, to string) error
}

// Rename renames a file where the FS can; else it gives errors.ErrUnsupported.
func Rename(files FS, from, to string) error {
	if r, ok := files.(Renamer); ok {
		return r.Rename(from, to)
	}
	return fmt.Errorf("rename %s to %s: %w", from, to, Unsupported("files", "they cannot be renamed where the image lies"))
}
