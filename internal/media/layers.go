package media

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/diskfile"
	"github.com/panalvm/panal/internal/problem"
)

// maxLayers bounds how many images of one directory stand on each other.
const maxLayers = 1000

// StackOf is the images that a drive's content is in, each standing on the next
// and complete but for that: the machine's own, which is at path ("" if it has none),
// the source, and what that stands on where it does not say so itself.
func StackOf(drive api.Drive, path string) []Ref {
	var refs []Ref
	switch {
	case path == "":
	case drive.Source == "" || drive.Mode == api.Own:
		return []Ref{{Path: path, Format: LayerFormat(path)}}
	default:
		refs = append(refs, Ref{Path: path, Format: "qcow2"})
	}
	if drive.Source == "" {
		return refs
	}
	refs = append(refs, RefOf(drive))
	for _, under := range drive.Under {
		refs = append(refs, Ref{Path: under.Source, Format: under.Format, Snapshot: under.Snapshot})
	}
	return refs
}

// Layers looks at an image of a machine's folder and at those of the same
// directory that it stands on, the image first. What the last of them
// stands on, in another directory, is not looked at: the machine's spec says that.
func Layers(ref Ref) (Chain, error) {
	var chain Chain
	for len(chain) < maxLayers {
		image, parent, err := layer(ref)
		if err != nil {
			return nil, err
		}
		chain = append(chain, image)
		if parent == nil {
			return chain, nil
		}
		ref = *parent
	}
	return nil, problem.New(api.KindUnreadable, "", "image %s: more than %d images stand on each other there", chain[0].Path, maxLayers)
}

// layer looks at one image, and names the one of its directory that it stands on.
func layer(ref Ref) (image Image, parent *Ref, err error) {
	img, links, err := OpenImage(ref, OpenOptions{Alone: true})
	if err != nil {
		return image, nil, err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	image = describe(links[0])
	image.Path = ref.Path
	link := links[0].Info.Parent
	if link == nil || link.Name == "" {
		return image, nil, nil
	}
	name := link.Name
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(ref.Path), name)
	}
	if filepath.Dir(name) != filepath.Dir(ref.Path) {
		return image, nil, nil
	}
	return image, &Ref{Path: name, Format: link.Format}, nil
}

// openStack opens images that stand on each other, each but the last with those of
// its directory that it stands on, for reading. The first is locked if it is
// the machine's own.
func openStack(refs []Ref, locked bool, keys disk.Keys) (disk.Image, error) {
	last := len(refs) - 1
	img, _, err := OpenImage(refs[last], OpenOptions{Locked: locked && last == 0, Keys: keys})
	if err != nil {
		return nil, err
	}
	for i := last - 1; i >= 0; i-- {
		layers, err := Layers(refs[i])
		if err != nil {
			return nil, errors.Join(err, img.Close())
		}
		for at := len(layers) - 1; at >= 0; at-- {
			over, err := openLayer(Ref{Path: layers[at].Path, Format: layers[at].Format}, img, locked && i == 0 && at == 0, keys)
			if err != nil {
				return nil, errors.Join(err, img.Close())
			}
			img = over
		}
	}
	return img, nil
}

// openLayer opens an image by itself, over another one.
func openLayer(ref Ref, below disk.Image, locked bool, keys disk.Keys) (disk.Image, error) {
	top, _, err := OpenImage(ref, OpenOptions{Locked: locked, Alone: true, Keys: keys})
	if err != nil {
		return nil, err
	}
	over, err := diskfile.Over(top, below)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("image %s: %w", ref.Path, err), top.Close())
	}
	return over, nil
}
