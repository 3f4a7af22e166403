package usage

import (
	"path/filepath"
	"strconv"
	"strings"
)

// Swap is what the host has to move memory out into. Sizes are bytes, as large as what
// is moved out was before.
type Swap struct {
	// Compressor is the compressed memory of the host: "zswap" before its swap, "zram" in
	// the place of some; empty where it has none.
	Compressor string
	Room       int64 // what compressed memory still takes
	Compressed int64 // what is in it
	Used       int64 // what is moved out in all
	DiskRoom   int64 // what swap outside of memory still takes
	HasDisk    bool  // there is swap outside of memory, full or not
}

// expected is by how much memory is taken to be compressed before it is known: less than
// what is usual of guests.
const expected = 2

// ReadSwap reads what the host has to move memory out into.
func ReadSwap() Swap { return readSwap(proc, "/sys") }

func readSwap(proc, sys string) Swap {
	var s Swap
	swaps, _ := read(filepath.Join(proc, "swaps"))
	for i, line := range strings.Split(strings.TrimSpace(string(swaps)), "\n") {
		fields := strings.Fields(line)
		if i == 0 || len(fields) < 5 {
			continue // a heading
		}
		size, _ := strconv.ParseInt(fields[2], 10, 64)
		used, _ := strconv.ParseInt(fields[3], 10, 64)
		s.Used += used << 10
		if strings.HasPrefix(fields[0], "/dev/zram") {
			s.Compressor = "zram"
			s.Room += (size - used) << 10
			s.Compressed += used << 10
		} else {
			s.DiskRoom += (size - used) << 10
			s.HasDisk = true
		}
	}
	enabled, _ := read(filepath.Join(sys, "module/zswap/parameters/enabled"))
	if strings.TrimSpace(string(enabled)) != "Y" || s.DiskRoom+s.Used == 0 {
		return s
	}
	s.zswap(proc, sys)
	return s
}

// zswap adds compressed memory before swap: the kernel keeps a part of swap for what is in it.
func (s *Swap) zswap(proc, sys string) {
	text, _ := read(filepath.Join(proc, "meminfo"))
	figures := kibibytes(text)
	pool, held := figures["Zswap"], figures["Zswapped"]
	ratio := float64(expected)
	if pool > 16<<20 {
		ratio = max(1, float64(held)/float64(pool))
	}
	percent := int64(20) // what Linux begins with
	if text, err := read(filepath.Join(sys, "module/zswap/parameters/max_pool_percent")); err == nil {
		percent, _ = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	}
	room := int64(float64(figures["MemTotal"]*percent/100-pool) * ratio)
	if s.Compressor == "" {
		s.Compressor = "zswap"
	}
	s.Room += max(0, min(room, s.DiskRoom))
	s.Compressed += held
}

// CompressedPart is the part, 0 to 1, of what is moved out that is in compressed memory.
func (s Swap) CompressedPart() float64 {
	if s.Used <= 0 {
		return 0
	}
	return min(1, float64(s.Compressed)/float64(s.Used))
}
