package ovf

// disks checks the virtual disks.
func (c *checker) disks() {
	disks := c.env.Disks()
	ids, files := map[string]bool{}, map[string]bool{}
	byID := map[string]Disk{}
	for _, d := range disks {
		byID[d.ID] = d
	}
	properties := c.env.Defaults()
	for _, d := range disks {
		where := "DiskSection/Disk " + short(d.ID)
		c.unique(ids, where, "diskId", d.ID)
		c.fileRef(where, d.FileRef)
		if d.FileRef != "" && files[d.FileRef] {
			c.find(Warning, where, "another disk has the same file %.60q", d.FileRef)
		}
		files[d.FileRef] = true
		if d.FileRef != "" && d.Format == "" {
			c.find(Warning, where, "it does not say the format of its file")
		}
		c.capacity(&d, properties, where)
		c.parents(d, byID, where)
	}
}

// capacity checks that what a disk holds fits in it.
func (c *checker) capacity(d *Disk, properties map[string]string, where string) {
	n, err := d.Bytes(properties)
	if err != nil {
		c.find(Error, where, "%v", err)
		return
	}
	if n == 0 {
		c.find(Error, where, "its capacity is 0")
		return
	}
	if d.PopulatedSize != nil && *d.PopulatedSize > n {
		c.find(Warning, where, "its populatedSize, %d, is more than its capacity, %d", *d.PopulatedSize, n)
	}
}

// maxParents is how many disks may lie below one.
const maxParents = 100

// parents follows a chain of disks; who comes back to itself never ends.
func (c *checker) parents(d Disk, byID map[string]Disk, where string) {
	for steps := 0; d.ParentRef != ""; steps++ {
		parent, ok := byID[d.ParentRef]
		switch {
		case !ok && steps == 0:
			c.find(Error, where, "its parent is the disk %.60q, which is not there", d.ParentRef)
		case steps > len(byID) || steps > maxParents:
			c.find(Error, where, "its chain of parents comes back to itself, or is too long")
			return
		}
		if !ok {
			return
		}
		d = parent
	}
}
