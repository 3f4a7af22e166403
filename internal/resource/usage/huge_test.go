package usage

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestHugePages reads what is free of a host with two nodes.
func TestHugePages(t *testing.T) {
	sys := t.TempDir()
	for file, text := range map[string]string{
		"kernel/mm/hugepages/hugepages-2048kB/free_hugepages":                 "70\n",
		"kernel/mm/hugepages/hugepages-2048kB/resv_hugepages":                 "6\n",
		"devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages": "50\n",
		"devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages": "20\n",
	} {
		file = filepath.Join(sys, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		size  int64
		nodes []int
		want  int
		err   error
	}{{2 << 20, nil, 64, nil}, {2 << 20, []int{1}, 20, nil}, {2 << 20, []int{0, 1}, 70, nil}, {2 << 20, []int{2}, 0, ErrNoHugePages}, {1 << 30, nil, 0, ErrNoHugePages}} {
		if got, err := hugePages(sys, c.size, c.nodes); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%d, nodes %v: %d, %v; want %d, %v", c.size, c.nodes, got, err, c.want, c.err)
		}
	}
}
