package machine

import (
	"fmt"
	"slices"

	"github.com/panalvm/panal/api"
)

// The bounds of limits: what QEMU's throttling takes (THROTTLE_VALUE_MAX), and
// a burst that is no burst any more.
const (
	maxLimit        = 1_000_000_000_000_000
	maxBurstSeconds = 24 * 3600
)

// Limits is what a drive may do at most in a second. Zero is no limit.
type Limits struct {
	IOPS, ReadIOPS, WriteIOPS, BurstIOPS                     int64
	Bandwidth, ReadBandwidth, WriteBandwidth, BurstBandwidth int64 // bytes
	BurstSeconds                                             int64
	Group                                                    string // empty: the drive has them alone
}

// LimitsOf returns a drive's limits.
func LimitsOf(d api.Drive) Limits {
	return Limits{
		IOPS: int64(d.IOPS), ReadIOPS: int64(d.ReadIOPS), WriteIOPS: int64(d.WriteIOPS), BurstIOPS: int64(d.BurstIOPS),
		Bandwidth: int64(d.Bandwidth), ReadBandwidth: int64(d.ReadBandwidth), WriteBandwidth: int64(d.WriteBandwidth),
		BurstBandwidth: int64(d.BurstBandwidth), BurstSeconds: int64(d.BurstSeconds), Group: d.LimitGroup,
	}
}

// Any says whether there is a limit.
func (l Limits) Any() bool {
	return l.IOPS+l.ReadIOPS+l.WriteIOPS+l.Bandwidth+l.ReadBandwidth+l.WriteBandwidth > 0
}

// withoutLimits is a drive without what can change while a machine runs.
func withoutLimits(d api.Drive) api.Drive {
	d.IOPS, d.ReadIOPS, d.WriteIOPS, d.BurstIOPS = 0, 0, 0, 0
	d.Bandwidth, d.ReadBandwidth, d.WriteBandwidth, d.BurstBandwidth = 0, 0, 0, 0
	d.BurstSeconds, d.LimitGroup = 0, ""
	return d
}

// dials checks how a drive is worked.
func (c *checker) dials(field string, d api.Drive) {
	if d.Cache != "" {
		member(c, field+".cache", d.Cache, api.CacheWriteback, api.CacheNone, api.CacheWritethrough, api.CacheUnsafe)
	}
	if d.Discard != "" {
		member(c, field+".discard", d.Discard, "on", "off")
	}
	if d.DetectZeroes != "" {
		member(c, field+".detectZeroes", d.DetectZeroes, "off", "on", "unmap")
	}
	if d.DetectZeroes == "unmap" && d.Discard == "off" {
		c.add(field+".detectZeroes", "is unmap, which gives room back, but discard is off")
	}
	c.limits(field, d)
}

// limits checks a drive's limits.
func (c *checker) limits(field string, d api.Drive) {
	l := LimitsOf(d)
	for _, one := range []struct {
		name  string
		value int64
	}{
		{"iops", l.IOPS},
		{"readIops", l.ReadIOPS},
		{"writeIops", l.WriteIOPS},
		{"burstIops", l.BurstIOPS},
		{"bandwidth", l.Bandwidth},
		{"readBandwidth", l.ReadBandwidth},
		{"writeBandwidth", l.WriteBandwidth},
		{"burstBandwidth", l.BurstBandwidth},
	} {
		if one.value < 0 || one.value > maxLimit {
			c.add(field+"."+one.name, "is %d; it must be 0, for no limit, to %d", one.value, int64(maxLimit))
		}
	}
	c.together(field, "iops", l.IOPS, l.ReadIOPS, l.WriteIOPS)
	c.together(field, "bandwidth", l.Bandwidth, l.ReadBandwidth, l.WriteBandwidth)
	c.burst(field, "burstIops", "iops", l.BurstIOPS, l.IOPS)
	c.burst(field, "burstBandwidth", "bandwidth", l.BurstBandwidth, l.Bandwidth)
	c.within(field+".burstSeconds", d.BurstSeconds, 0, maxBurstSeconds)
	if l.BurstSeconds > 0 && l.BurstIOPS+l.BurstBandwidth == 0 {
		c.add(field+".burstSeconds", "says how long bursts last, but there are none; set burstIops or burstBandwidth")
	}
	if len(l.Group) > maxElementName || !only(l.Group, isLetter, isDigit, oneOf("_-")) {
		c.add(field+".limitGroup", "%q is not at most %d letters, digits, _ or -", clip(l.Group), maxElementName)
	}
	if d.Kind == api.FloppyDiskette && l != (Limits{}) {
		c.add(field, "is a floppy drive, which has no limits")
	}
}

func (c *checker) together(field, name string, total, read, write int64) {
	if total > 0 && read+write > 0 {
		c.add(field+"."+name, "limits reads and writes together, and cannot be beside limits of one of them")
	}
}

func (c *checker) burst(field, name, of string, burst, limit int64) {
	switch {
	case burst > 0 && limit == 0:
		c.add(field+"."+name, "allows more than %s for a while, but there is no %s", of, of)
	case burst > 0 && burst <= limit:
		c.add(field+"."+name, "is %d, which is no more than %s (%d)", burst, of, limit)
	}
}

// limitGroups checks that the drives of a group agree on what they share.
func (c *checker) limitGroups() {
	for i, drive := range c.spec.Drives {
		first := slices.IndexFunc(c.spec.Drives, func(d api.Drive) bool { return d.LimitGroup == drive.LimitGroup })
		if drive.LimitGroup == "" || first == i || LimitsOf(c.spec.Drives[first]) == LimitsOf(drive) {
			continue
		}
		c.add(fmt.Sprintf("drives[%d].limitGroup", i),
			"%s is shared with drives[%d], whose limits are others; set both in one command", clip(drive.LimitGroup), first)
	}
}

// controllerDials checks what a controller can be told.
func (c *checker) controllerDials(i int, k api.Controller) {
	field := fmt.Sprintf("controllers[%d]", i)
	if k.Chipset != "" {
		member(c, field+".chipset", k.Chipset, "piix3", "piix4", "ich6")
		if k.Type != api.IDE {
			c.add(field+".chipset", "is of ide controllers; this one is %s", k.Type)
		}
	}
	if k.IOThread && k.Type != api.VirtioSCSI && k.Type != api.VirtioBlk {
		c.add(field+".ioThread", "is to be had for virtio-scsi and virtio-blk; this one is %s", k.Type)
	}
}
