package snapshot

// Shortening is the drawing of several images into the one above them, which stands on what is
// below them then. They stay for those who need them: snapshots hold them, or other images stand on them.
type Shortening struct {
	Top  string
	Base string // what Top stands on in the end
	// Between are the images that are drawn in, the uppermost first.
	Between []string
	// Bytes is what their own data takes up: so much more Top takes up at most.
	Bytes int64
}

// Shorten says how the chain below an image that a guest writes is made shorter, if more than bound
// images stand one on another there, Top and the lowest included. Bound is 2 at least; above
// one that is Fixed there is always another, so that three may be left.
//
// A quarter of the bound is won at least, so that it is not done for every snapshot. Beyond that an image
// is drawn in if it is no larger than those above it together: what was drawn in once is then
// drawn in again only with as much that is new, and the copies of n images of a size take up n·log n and not n².
func (images Images) Shorten(top string, bound int) (Shortening, bool) {
	chain := images.chain(top)
	if len(chain) <= max(bound, 2) || images[top].Fixed {
		return Shortening{}, false
	}
	for len(chain) > 1 && images[chain[len(chain)-1]].Fixed {
		chain, bound = chain[:len(chain)-1], bound-1 // no process can name it as what Top stands on: see [Images.Next]
	}
	most := len(chain) - 2 // the lowest is a base always, and Top draws
	least := min(most, len(chain)-max(bound-bound/4, 2))
	if least <= 0 {
		return Shortening{}, false
	}
	short := Shortening{Top: top}
	for _, name := range chain[1 : 1+most] {
		allocated := images[name].Allocated
		if len(short.Between) >= least && allocated > short.Bytes {
			break
		}
		short.Between, short.Bytes = append(short.Between, name), short.Bytes+allocated
	}
	short.Base = chain[1+len(short.Between)]
	return short, true
}

// chain is an image with those that it stands on.
func (images Images) chain(name string) []string {
	var chain []string
	for name != "" && len(chain) <= len(images) {
		chain = append(chain, name)
		name = images[name].Parent
	}
	return chain
}
