package snapshot

import (
	"maps"
	"slices"
)

// Image is one image of a machine's folder.
type Image struct {
	Parent string // the image of the folder that it stands on; empty for none
	// Allocated is how many bytes its own data takes up.
	Allocated int64
	// Fixed tells that it can neither be written nor told of another parent: its
	// format has no such thing.
	Fixed bool
}

// Images are the images of a machine's folder that something is known to need, by
// their names.
type Images map[string]Image

// Needs says what needs images.
type Needs struct {
	Held    map[string]bool // by snapshots: content and name stay
	Written map[string]bool // by guests, in the present state of the machine
	// Open are the images that the machine's process has open: those written
	// and those that they stand on.
	Open map[string]bool
	// Others are those that other machines stand on: content and name must stay.
	Others map[string]bool
}

// children are the images on each image.
func (images Images) children() map[string][]string {
	children := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(images)) {
		if parent := images[name].Parent; parent != "" {
			children[parent] = append(children[parent], name)
		}
	}
	return children
}

// Reachable are the images that are needed: those of the roots and those that
// they stand on.
func (images Images) Reachable(roots ...map[string]bool) map[string]bool {
	needed := map[string]bool{}
	for _, set := range roots {
		for name := range set {
			for name != "" && !needed[name] {
				image, known := images[name]
				if !known {
					break
				}
				needed[name] = true
				name = image.Parent
			}
		}
	}
	return needed
}

// Unneeded are the images that nothing needs, in the order of their names.
func (images Images) Unneeded(needs Needs) []string {
	needed := images.Reachable(needs.Held, needs.Written, needs.Open, needs.Others)
	var rest []string
	for _, name := range slices.Sorted(maps.Keys(images)) {
		if !needed[name] {
			rest = append(rest, name)
		}
	}
	return rest
}

// Way is how an image is merged with the one above it.
type Way string

// The ways.
const (
	// Commit writes what the upper image holds into the lower one, which then takes
	// the upper one's place in every respect; the upper one is removed.
	Commit Way = "commit"
	// Pull draws what the upper image reads from the lower one into it. The lower one
	// is removed, nothing else changes.
	Pull Way = "pull"
)

// Step is a merging of two images.
type Step struct {
	Way   Way
	Lower string
	Upper string // stands on Lower
	// Live tells that the machine's process has the images open, and has to do it.
	Live bool
	// Beside are further images on the upper one that, after a commit, have to be
	// told that the lower one is their parent now. The process has none of them open.
	Beside []string
}

// Next says which two images are to be merged next, if there are any: the lower one
// is held by nothing and has only the upper one on it. Where both
// ways are possible the one is chosen that copies less.
//
// The process of a running machine can commit any image that it has open, and
// pull into the one that it writes; it has no way to pull into one below that. One that is Fixed is served to
// it, and it would name it in the image above as what it is to the process, so that nobody could open that afterwards.
func (images Images) Next(needs Needs) (Step, bool) {
	children := images.children()
	needed := images.Reachable(needs.Held, needs.Written, needs.Open, needs.Others)
	for _, lower := range slices.Sorted(maps.Keys(images)) {
		uppers := slices.DeleteFunc(slices.Clone(children[lower]), func(name string) bool { return !needed[name] })
		if len(uppers) != 1 || needs.Held[lower] || needs.Written[lower] || needs.Others[lower] {
			continue
		}
		if step, found := images.merge(needs, lower, uppers[0], children[uppers[0]]); found {
			return step, true
		}
	}
	return Step{}, false
}

// merge chooses how two images are merged.
func (images Images) merge(needs Needs, lower, upper string, above []string) (Step, bool) {
	step := Step{Lower: lower, Upper: upper, Live: needs.Open[upper]}
	canPull := !images[upper].Fixed && (!step.Live || needs.Written[upper] && !images[images[lower].Parent].Fixed)
	canCommit := !images[lower].Fixed && !needs.Others[upper]
	for _, name := range above {
		if images[name].Fixed || needs.Others[name] {
			canCommit = false // it must not be touched, and so neither what it names
		}
		if !needs.Open[name] {
			step.Beside = append(step.Beside, name)
		}
	}
	switch {
	case canCommit && (!canPull || images[upper].Allocated <= images[lower].Allocated):
		step.Way = Commit
	case canPull:
		step.Way, step.Beside = Pull, nil
	default:
		return Step{}, false
	}
	return step, true
}

// Apply is the images after a step.
func (images Images) Apply(step Step) Images {
	after := maps.Clone(images)
	upper, lower := after[step.Upper], after[step.Lower]
	switch step.Way {
	case Pull:
		upper.Parent, upper.Allocated = lower.Parent, upper.Allocated+lower.Allocated
		after[step.Upper] = upper
		delete(after, step.Lower)
	case Commit:
		lower.Allocated += upper.Allocated
		after[step.Lower] = lower
		for name, image := range after {
			if image.Parent == step.Upper {
				image.Parent = step.Lower
				after[name] = image
			}
		}
		delete(after, step.Upper)
	}
	return after
}

// Apply is the needs after a step.
func (needs Needs) Apply(step Step) Needs {
	move := func(set map[string]bool) map[string]bool {
		after := maps.Clone(set)
		gone, by := step.Upper, step.Lower
		if step.Way == Pull {
			gone, by = step.Lower, ""
		}
		if after[gone] && by != "" {
			after[by] = true
		}
		delete(after, gone)
		return after
	}
	return Needs{Held: move(needs.Held), Written: move(needs.Written), Open: move(needs.Open), Others: needs.Others}
}

// Depth is how many images of the folder stand one on another below an image, it
// included.
func (images Images) Depth(name string) int {
	depth := 0
	for name != "" && depth <= len(images) {
		name = images[name].Parent
		depth++
	}
	return depth
}
