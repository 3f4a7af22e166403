package diskfile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/panalvm/panal/disk"
)

// Link is one image of a chain.
type Link struct {
	Name string
	Info disk.Info
}

// Chain describes an image and its parents, the image first. When a parent
// cannot be found, what was found is returned with the error.
func (p Place) Chain(name string, o OpenOptions) ([]Link, error) {
	img, names, err := p.openNamed(name, o)
	if err != nil {
		o.Alone = true
		alone, second := p.Open(name, o)
		if second != nil {
			return nil, err
		}
		defer alone.Close()
		return []Link{{name, disk.Describe(alone)}}, err
	}
	defer img.Close()
	links := linksOf(img, names)
	links[0].Name = name
	return links, nil
}

// OpenLinks opens an image as Open does, and describes it and its parents, the
// image first. Their names are paths, absolute and without symbolic links
// where an image was named by a person.
func (p Place) OpenLinks(name string, o OpenOptions) (disk.Image, []Link, error) {
	img, names, err := p.openNamed(name, o)
	if err != nil {
		return nil, nil, err
	}
	return img, linksOf(img, names), nil
}

func linksOf(img disk.Image, names map[disk.Image]string) []Link {
	var links []Link
	for at := img; at != nil; at = disk.Parent(at) {
		links = append(links, Link{names[at], disk.Describe(at)})
	}
	return links
}

// Paths are the files that the image of the link consists of.
func (l Link) Paths() []string {
	paths := []string{l.Name}
	for _, part := range l.Info.Files {
		if !filepath.IsAbs(part) {
			part = filepath.Join(filepath.Dir(l.Name), part)
		}
		paths = append(paths, part)
	}
	return paths
}

// openNamed opens an image and tells by what names the images of its chain
// were opened.
func (p Place) openNamed(name string, o OpenOptions) (disk.Image, map[disk.Image]string, error) {
	names := map[disk.Image]string{}
	p.opened = func(name string, img disk.Image) { names[img] = name }
	img, err := p.Open(name, o)
	return img, names, err
}

// parentOf is the name and the format of an image's parent.
func (p Place) parentOf(name string, o OpenOptions) (parent, format string, err error) {
	img, names, err := p.openNamed(name, o)
	if err != nil {
		return "", "", err
	}
	defer img.Close()
	at := disk.Parent(img)
	if at == nil || names[at] == "" {
		return "", "", disk.Usage("%s has no parent", name)
	}
	if isEarlier(disk.Describe(at)) {
		return "", "", disk.Usage("the parent of %s is an earlier state of %s, which has gone on since", name, names[at])
	}
	return names[at], disk.Describe(at).Format, nil
}

// Commit writes what a differencing image holds into its parent, and tells
// which that is; of an image with snapshots in it, into the last of them. The
// image itself keeps its content; its link to the parent, which has changed, is
// renewed.
func (p Place) Commit(ctx context.Context, name, format string, progress func(done, total int64)) (into string, err error) {
	if into, err := p.mergeSnapshot(ctx, name, format, progress); into != "" || err != nil {
		return into, err
	}
	parentName, parentFormat, err := p.parentOf(name, OpenOptions{Format: format})
	if err != nil {
		return "", err
	}
	child, err := p.Open(name, OpenOptions{Format: format, Alone: true})
	if err != nil {
		return "", err
	}
	parent, err := p.Open(parentName, OpenOptions{Format: parentFormat, Write: true})
	if err != nil {
		return parentName, errors.Join(fmt.Errorf("the parent: %w", err), child.Close())
	}
	err = disk.Commit(ctx, child, parent, disk.CopyOptions{Progress: progress})
	if err := errors.Join(err, parent.Close(), child.Close()); err != nil {
		return parentName, err
	}
	return parentName, p.Rebase(ctx, name, format, parentName, parentFormat, true, nil)
}

// Rebase makes a differencing image name another parent ("" for none) and keeps
// what it reads as. Unsafe only changes the name: for a parent that was moved.
func (p Place) Rebase(ctx context.Context, name, format, parent, parentFormat string, unsafe bool, progress func(done, total int64)) error {
	if parent == "-" {
		return disk.Usage("standard input cannot be a parent: the image could not name it")
	}
	if parent != "" && p.descends(parent, parentFormat, name) {
		return disk.Usage("it would be its own parent: %s is the image itself or has it among its parents", parent)
	}
	img, err := p.Open(name, OpenOptions{Format: format, Write: true, Alone: unsafe})
	if err != nil {
		return err
	}
	err = p.rebase(ctx, img, name, parent, parentFormat, unsafe, progress)
	return errors.Join(err, img.Close())
}

// descends tells whether an image is another, or has it among its parents.
func (p Place) descends(name, format, from string) bool {
	path, _, err := p.find(from)
	if err != nil {
		return false
	}
	if own, _, err := p.find(name); err == nil && own == path {
		return true
	}
	img, names, err := p.openNamed(name, OpenOptions{Format: format, Unlocked: true})
	if err != nil {
		return false // the rebase will tell
	}
	defer img.Close()
	return slices.Contains(slices.Collect(maps.Values(names)), path)
}

func (p Place) rebase(ctx context.Context, img disk.Image, name, parent, parentFormat string, unsafe bool, progress func(done, total int64)) error {
	var to disk.Image
	var written string
	if parent != "" {
		opened, err := p.Open(parent, OpenOptions{Format: parentFormat})
		if err != nil {
			return fmt.Errorf("the new parent: %w", err)
		}
		defer opened.Close()
		path, _, err := p.find(name)
		if err != nil {
			return err
		}
		if written, err = relative(path, parent); err != nil {
			return err
		}
		to, parentFormat = opened, disk.Describe(opened).Format
	}
	if !unsafe {
		return disk.Rebase(ctx, img, to, written, parentFormat, disk.CopyOptions{Progress: progress})
	}
	link, ok := img.(disk.Reparenter)
	if !ok {
		return disk.Unsupported(disk.Describe(img).Format, "images of this kind cannot change their parent")
	}
	return link.SetParent(to, written, parentFormat)
}
