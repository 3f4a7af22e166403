package deflate

import "golang.org/x/sys/cpu"

// sums is plainSums, 32 bytes at a time; p is whole rows of 32.
func sums(p []byte) (plain, weighted uint64) {
	if cpu.X86.HasAVX2 {
		return sumsAVX2(p)
	}
	return plainSums(p)
}

// sumsAVX2 takes rows of 32 bytes, one at least, at most adlerRow in all.
//
//go:noescape
func sumsAVX2(p []byte) (plain, weighted uint64)
