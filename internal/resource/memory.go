package resource

import (
	"fmt"

	"github.com/panalvm/panal/api"
)

// StagePrefix begins the keys in the store below which hosts say by what they make room for memory ([api.HostMemory]); what
// follows tells which host it is.
const StagePrefix = "memory/"

// Overhead is what a machine's process needs beside its guest's memory, as far as can be
// said beforehand: QEMU itself, and what it keeps for each page of the guest.
func Overhead(maximum api.Size) api.Size { return 128*api.MiB + maximum/64 }

// MemoryClaim is what a machine wants of the host's memory.
type MemoryClaim struct {
	Name     string
	Maximum  api.Size // with the overhead
	Reserved api.Size // with the overhead; 0 for none
}

// MemoryClaimOf is what a machine with a complete memory wants.
func MemoryClaimOf(name string, m api.Memory) MemoryClaim {
	if m.PageSize > 0 { // the huge pages are the host's no more anyway
		return MemoryClaim{Name: name, Maximum: Overhead(m.Maximum), Reserved: Overhead(m.Maximum)}
	}
	if m.Locked {
		m.Reserve = m.Maximum // it is taken at once, and not given back
	}
	claim := MemoryClaim{Name: name, Maximum: m.Maximum + Overhead(m.Maximum)}
	if m.Reserve > 0 {
		claim.Reserved = m.Reserve + Overhead(m.Maximum)
	}
	return claim
}

// MemoryOverreserved says that a reservation of memory does not fit.
type MemoryOverreserved struct{ Wanted, Free api.Size }

// Error says what is wanted and what there is.
func (e *MemoryOverreserved) Error() string {
	return fmt.Sprintf("memory.reserve does not fit: with what its process needs it is %d MiB, and the host has %d MiB left to reserve", e.Wanted/api.MiB, max(0, e.Free)/api.MiB)
}

// MemoryOvercommitted says that machines could come to want more memory than the host's
// policy lets them.
type MemoryOvercommitted struct {
	Wanted, There api.Size
	Ratio         float64
}

// Error says what is wanted and what there is.
func (e *MemoryOvercommitted) Error() string {
	return fmt.Sprintf("the machines that run, with this one, can come to want %d MiB of memory, and the host has %d MiB for them (memory.ratio=%g)", e.Wanted/api.MiB, e.There/api.MiB, e.Ratio)
}

// AdmitMemory checks that a host with so much memory for machines has what one wants beside
// others. It is a *MemoryOverreserved where reservations would not all be held, and a
// *MemoryOvercommitted where all maximums together are more than ratio times that memory.
func AdmitMemory(there api.Size, others []MemoryClaim, claim MemoryClaim, ratio float64) error {
	wanted, reserved := claim.Maximum, api.Size(0)
	for _, other := range others {
		wanted += other.Maximum
		reserved += other.Reserved
	}
	if claim.Reserved > 0 && reserved+claim.Reserved > there {
		return &MemoryOverreserved{claim.Reserved, there - reserved}
	}
	if float64(wanted) > ratio*float64(there) {
		return &MemoryOvercommitted{wanted, api.Size(ratio * float64(there)), ratio}
	}
	return nil
}
