package vmdk

import (
	"fmt"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/vmdk/descriptor"
)

// Settings by which VirtualBox names images and their parents: it does so by
// UUID, and leaves parentCID alone.
const (
	keyUUID           = "ddb.uuid.image"
	keyModification   = "ddb.uuid.modification"
	keyParentUUID     = "ddb.uuid.parent"
	keyParentModified = "ddb.uuid.parentmodification"
	keyHint           = "parentFileNameHint"
)

const nilUUID = "00000000-0000-0000-0000-000000000000"

// openParent opens the parent of a delta.
func (o *opener) openParent() error {
	ref, ok := o.parentRef()
	if !ok {
		return nil
	}
	parent, err := o.source.OpenParent(ref)
	if err != nil {
		return err
	}
	o.image.parent = parent
	return nil
}

// parentRef says how to find the parent; ok is false without one.
func (o *opener) parentRef() (ref disk.ParentRef, ok bool) {
	d := o.image.desc
	if d == nil {
		return o.cowdParent()
	}
	hint := d.Text(keyHint)
	cid, _ := d.ParentCID()
	uuid, hasUUID := plainUUID(d.Text(keyParentUUID))
	hasUUID = hasUUID && uuid != nilUUID
	hasCID := cid != descriptor.NoParent && d.Text("parentCID") != ""
	if !hasCID && !hasUUID {
		return ref, false
	}
	o.image.link = &disk.Link{Name: hint, Format: name}
	if hasUUID {
		o.image.link.UUID = uuid
	}
	ref.Paths = places(hint)
	if hasCID {
		ref.Search = hint == ""
		ref.Accept = func(img disk.Image) error { return o.acceptCID(img, cid) }
		return ref, true
	}
	ref.Search = true
	ref.Accept = func(img disk.Image) error { return o.acceptUUID(img, uuid) }
	return ref, true
}

// places are where a parent may lie: as it is named, or beside the child when
// both were moved.
func places(hint string) []string {
	if hint == "" {
		return nil
	}
	if last := base(hint); last != hint && last != "" {
		return []string{hint, last}
	}
	return []string{hint}
}

func (o *opener) cowdParent() (ref disk.ParentRef, ok bool) {
	if len(o.image.spans) == 0 {
		return ref, false
	}
	s, isSparse := o.image.spans[0].extent.(*sparse)
	if !isSparse || s.kind != cowd {
		return ref, false
	}
	hint := cowdParentName(s.part.file)
	if hint == "" {
		return ref, false
	}
	o.image.link = &disk.Link{Name: hint}
	return disk.ParentRef{Paths: places(hint)}, true
}

// acceptCID tells whether an image has the content that a delta was made for.
func (o *opener) acceptCID(img disk.Image, want descriptor.CID) error {
	m, ok := img.(cored)
	if !ok || m.core().desc == nil {
		return fmt.Errorf("%w: it is no VMDK with a descriptor, and so has no CID; the delta was made for %v", disk.ErrWrongParent, want)
	}
	got, ok := m.core().contentID()
	if !ok {
		return fmt.Errorf("%w: it has no readable CID; the delta was made for %v", disk.ErrWrongParent, want)
	}
	if got != want {
		return fmt.Errorf("%w: its CID is %v, and the delta was made for %v: it was written since, or is another disk; %s", disk.ErrWrongParent, got, want, o.advice(m.core().name))
	}
	return nil
}

func (o *opener) acceptUUID(img disk.Image, want string) error {
	if got := disk.Describe(img).UUID; got != want {
		return fmt.Errorf("%w: its UUID is %q, and the delta was made for %s", disk.ErrWrongParent, got, want)
	}
	return nil
}

// advice is what to do about a parent that was changed.
func (o *opener) advice(parent string) string {
	return fmt.Sprintf("put back what it was, or, if it is right as it is: panal disk rebase %q --parent %q --unsafe", o.source.Name, parent)
}
