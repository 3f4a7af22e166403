package usage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrNoHugePages says that the host's kernel has no huge pages of a size.
var ErrNoHugePages = errors.New("the kernel has no huge pages of that size")

// HugePages is how many huge pages of a size in bytes are free, on some nodes of the host or on all of
// them where none is named. It is ErrNoHugePages where there are none of that size.
func HugePages(size int64, nodes []int) (free int, err error) { return hugePages("/sys", size, nodes) }

func hugePages(sys string, size int64, nodes []int) (free int, err error) {
	name := fmt.Sprintf("hugepages-%dkB", size>>10)
	if len(nodes) == 0 {
		dir := filepath.Join(sys, "kernel/mm/hugepages", name)
		free, err = pages(dir, "free_hugepages")
		if err != nil {
			return 0, err
		}
		promised, err := pages(dir, "resv_hugepages") // to whoever has mapped them and not touched them yet
		return max(0, free-promised), err
	}
	for _, node := range nodes {
		here, err := pages(filepath.Join(sys, "devices/system/node", "node"+strconv.Itoa(node), "hugepages", name), "free_hugepages")
		if err != nil {
			return 0, err
		}
		free += here
	}
	return free, nil
}

func pages(dir, name string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, ErrNoHugePages
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}
