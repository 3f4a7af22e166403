package runner

import (
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
)

// standing makes a drive whose image stands on one that holds 1 in its first two megabytes, and
// two images that read the same, one of them as a difference; and starts QEMU.
func standing(b *bench, above ...string) (below []string) {
	b.Helper()
	b.image("foreign.qcow2", "")
	b.tool("qemu-io", "-c", "write -P 1 0 2M", b.path("foreign.qcow2"))
	chain := []string{b.path("own.qcow2"), b.path("foreign.qcow2")}
	b.image("own.qcow2", "foreign.qcow2")
	on := "own.qcow2"
	for _, name := range above {
		chain = append([]string{b.image(name, on)}, chain...)
		on = name
	}
	below = []string{b.image("drawn.qcow2", "root.qcow2"), b.image("root.qcow2", "")}
	b.tool("qemu-io", "-c", "write -P 1 0 1M", "-c", "write -P 9 1M 1M", below[1])
	b.tool("qemu-io", "-c", "write -P 1 1M 1M", below[0])
	b.disk("a", chain...)
	b.start()
	return below
}

func TestAnImageIsPutOnOthersWhileItIsWritten(t *testing.T) {
	for _, above := range [][]string{nil, {"upper.qcow2"}} {
		b := newBench(t)
		below := standing(b, above...)
		dials, top := api.Drive{Name: "a"}, b.path(append(above, "own.qcow2")[0])
		b.fill("a", 2, 4, 1)
		for range 2 { // what was done is no error, for another daemon neither
			if err := b.Restack(t.Context(), dials, b.path("own.qcow2"), below); err != nil {
				t.Fatal(err)
			}
			b.adopt()
		}
		b.fill("a", 3, 1, 1)
		b.sees("a", top, 1, 0, 1)
		b.sees("a", top, 3, 1, 1)
		b.sees("a", top, 2, 4, 1)
		if said := b.tool("qemu-img", "info", "-U", b.path("own.qcow2")); !strings.Contains(said, "backing file: drawn.qcow2") {
			t.Errorf("the image does not name what it stands on now: %s", said)
		}
		chain, err := b.chain(t.Context(), "a")
		if err != nil || len(chain) != 3+len(above) {
			t.Errorf("the drive has %v, %v", chain, err)
		}
	}
}

func TestAnImageThatWasPutOnOthersIsMergedWithThem(t *testing.T) {
	b := newBench(t)
	below := standing(b)
	b.fill("a", 2, 4, 1)
	if err := b.Restack(t.Context(), api.Drive{Name: "a"}, b.path("own.qcow2"), below); err != nil {
		t.Fatal(err)
	}
	report := func(int64, int64) {}
	if err := b.Commit(t.Context(), "a", b.path("own.qcow2"), below[0], nil, report); err != nil {
		t.Fatal(err)
	}
	b.fill("a", 5, 5, 1)
	b.sees("a", below[0], 1, 0, 2)
	b.sees("a", below[0], 2, 4, 1)
	b.sees("a", below[0], 5, 5, 1)
}
