//go:build !amd64

package deflate

// sums is plainSums.
func sums(p []byte) (plain, weighted uint64) { return plainSums(p) }
