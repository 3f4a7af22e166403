package imageserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/internal/media"
)

// Image is an image to serve.
type Image struct {
	media.Ref
	Export string // the name that QEMU asks for
	Write  bool   // the machine itself writes it
}

// The descriptors that a server is started with.
const (
	listenerFD = 3 + iota
	qemuFD     // a pidfd
	planFD     // the plan, JSON
	firstFD    // files of images
)

// plan is what a server is told to do.
type plan struct {
	Machine string    `json:"machine"`
	Images  []planned `json:"images"`
}

// planned is an image in a plan.
type planned struct {
	Export   string `json:"export"`
	Name     string `json:"name"` // in the transcript
	Format   string `json:"format"`
	Snapshot string `json:"snapshot,omitempty"`
	Write    bool   `json:"write,omitempty"`
	Journal  int    `json:"journal,omitempty"` // the descriptor of the journal, of images that are written
	transcript
}

// handover is a plan and the descriptors that belong to it.
type handover struct {
	plan
	files []*os.File // from firstFD on
}

// prepare opens images and puts down what a server needs to do the same.
func prepare(machine string, dir Dir, images []Image) (*handover, error) {
	h := &handover{plan: plan{Machine: machine}}
	for _, image := range images {
		if err := h.add(dir, image); err != nil {
			h.close()
			return nil, fmt.Errorf("drive %s: %w", image.Export, err)
		}
	}
	return h, nil
}

// close closes the descriptors: the server has its own.
func (h *handover) close() {
	for _, file := range h.files {
		_ = file.Close() // nothing was written by them
	}
}

func (h *handover) add(dir Dir, image Image) error {
	var r *recorder
	img, links, err := media.OpenImage(image.Ref, media.OpenOptions{
		Write: image.Write, Locked: true,
		Through: func(files *hostfs.FS) disk.FS { r = record(files); return r },
	})
	if r != nil {
		defer r.close()
	}
	if err != nil {
		return err
	}
	p := planned{
		Export: image.Export, Name: links[0].Name, Format: image.Format, Snapshot: image.Snapshot, Write: image.Write,
		transcript: r.transcript,
	}
	var paths []string
	for _, link := range links {
		paths = append(paths, link.Paths()...)
	}
	for name, k := range r.needed(paths) {
		p.Files = append(p.Files, handed{Name: name, FD: h.hand(k.file), Write: k.write})
		delete(r.kept, name)
	}
	if image.Write {
		journal, err := os.OpenFile(dir.journal(image.Export), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return errors.Join(err, img.Close())
		}
		p.Journal = h.hand(journal)
	}
	h.Images = append(h.Images, p)
	return img.Close()
}

// hand takes a descriptor over and returns the number that the server has it
// under.
func (h *handover) hand(file *os.File) int {
	h.files = append(h.files, file)
	return firstFD + len(h.files) - 1
}

// descriptors are those that the server is started with.
func (h *handover) descriptors(listener, qemu *os.File) (files []*os.File, written *os.File, err error) {
	fd, err := unix.MemfdCreate("plan", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, nil, fmt.Errorf("write the image server's plan: %w", err)
	}
	written = os.NewFile(uintptr(fd), "plan")
	if err := json.NewEncoder(written).Encode(h.plan); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("write the image server's plan: %w", err), written.Close())
	}
	return append([]*os.File{listener, qemu, written}, h.files...), written, nil
}

// readPlan reads the plan of the server that this process is.
func readPlan() (p plan, err error) {
	file := os.NewFile(planFD, "plan")
	defer file.Close()
	err = json.NewDecoder(io.NewSectionReader(file, 0, 1<<30)).Decode(&p)
	return p, err
}
