package ovf

import (
	"fmt"
	"strconv"
	"strings"
)

// Unit is what VirtualQuantity, Reservation and Limit are counted in. Without
// any it is what everybody takes it for: MiB of memory, bytes of disks, MHz
// of processors' reservations, else a count.
func (i *Item) Unit() (Unit, error) {
	for _, text := range []string{i.AllocationUnits, i.VirtualQuantityUnits} {
		if strings.TrimSpace(text) != "" {
			return ParseUnit(text)
		}
	}
	switch i.ResourceType {
	case Memory:
		return Unit{"byte", 1 << 20}, nil
	case DiskDrive, StorageExtent, LogicalDisk, StorageVolume:
		return Unit{"byte", 1}, nil
	}
	return Unit{"count", 1}, nil
}

// Bytes is VirtualQuantity of memory or of storage, in bytes. That a unit is no
// unit of bytes is an error.
func (i *Item) Bytes() (int64, error) {
	u, err := i.Unit()
	if err != nil {
		return 0, err
	}
	if u.Base == "bit" && u.Factor%8 == 0 {
		u = Unit{"byte", u.Factor / 8}
	}
	if u.Base == "count" && i.ResourceType == Memory {
		return 0, fmt.Errorf("the memory is counted in %s, not in bytes", u)
	}
	if u.Base != "byte" && u.Base != "count" {
		return 0, fmt.Errorf("a quantity of bytes is counted in %s", u)
	}
	return u.Of(i.VirtualQuantity)
}

// Count is VirtualQuantity where it is a number of things, as processors are.
// Units do not matter: those of processors, if any, are of Reservation and Limit.
func (i *Item) Count() (int, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(i.VirtualQuantity), 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("reading the quantity %.40q: it is not a number from 0, of at most 31 bits", i.VirtualQuantity)
	}
	return int(n), nil
}

// Amount is Reservation or Limit in the base of the item's unit: hertz,
// bytes.
func (i *Item) Amount(quantity string) (int64, Unit, error) {
	u, err := i.Unit()
	if err != nil {
		return 0, u, err
	}
	n, err := u.Of(quantity)
	return n, Unit{u.Base, 1}, err
}

// Bytes is the disk's capacity. Properties resolve a capacity that is
// ${property}; see [Envelope.Defaults]. oVirt's disks have ovf:size in GiB
// instead.
func (d *Disk) Bytes(properties map[string]string) (int64, error) {
	if d.Capacity == "" {
		if size := d.ovirtSize(); size != "" {
			return Unit{"byte", 1 << 30}.Of(size)
		}
		return 0, fmt.Errorf("reading the capacity of disk %q: it says none", d.ID)
	}
	text := strings.TrimSpace(d.Capacity)
	if key, ok := strings.CutPrefix(text, "${"); ok && strings.HasSuffix(key, "}") {
		value, known := properties[strings.TrimSuffix(key, "}")]
		if !known {
			return 0, fmt.Errorf("reading the capacity of disk %q: it is %s, and there is no such property", d.ID, text)
		}
		text = value
	}
	u, err := ParseUnit(d.Units)
	if err == nil && u.Base != "byte" {
		err = fmt.Errorf("its unit is %s, not bytes", u)
	}
	if err != nil {
		return 0, fmt.Errorf("reading the capacity of disk %q: %w", d.ID, err)
	}
	n, err := u.Of(text)
	if err != nil {
		return 0, fmt.Errorf("reading the capacity of disk %q: %w", d.ID, err)
	}
	return n, nil
}

func (d *Disk) ovirtSize() string {
	for _, a := range d.Attrs {
		if a.Name.Local == "size" && isEnvelope(a.Name.Space) {
			return strings.TrimSpace(a.Value)
		}
	}
	return ""
}
