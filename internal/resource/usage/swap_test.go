package usage

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestSwap reads what hosts of several kinds have.
func TestSwap(t *testing.T) {
	const heading = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
	const mega = int64(1) << 20
	for _, test := range []struct {
		name, swaps, zswap, meminfo string
		want                        Swap
		part                        float64
	}{
		{name: "none", swaps: heading},
		{name: "no kernel of ours"},
		{name: "a file", swaps: heading + "/swap                               file\t\t1048576\t\t102400\t\t-2\n", want: Swap{Used: 100 * mega, DiskRoom: 924 * mega, HasDisk: true}},
		{
			name: "zram", swaps: heading + "/dev/zram0                              partition\t524284\t\t4\t\t100\n",
			want: Swap{Compressor: "zram", Room: 524280 << 10, Compressed: 4 << 10, Used: 4 << 10}, part: 1,
		},
		{
			name: "zram and a partition", swaps: heading + "/dev/zram0 partition 1024 1024 100\n/dev/sda2 partition 4096 3072 -2\n",
			want: Swap{Compressor: "zram", Compressed: mega, Used: 4 * mega, DiskRoom: mega, HasDisk: true}, part: 0.25,
		},
		{name: "zswap without swap", swaps: heading, zswap: "Y\n", meminfo: "MemTotal: 1048576 kB\n"},
		{
			name: "zswap", swaps: heading + "/swap file 1048576 204800 -2\n", zswap: "Y\n", meminfo: "MemTotal: 1048576 kB\nZswap: 51200 kB\nZswapped: 153600 kB\n",
			want: Swap{Compressor: "zswap", Room: 3 * (204*mega - 50*mega), Compressed: 150 * mega, Used: 200 * mega, DiskRoom: 824 * mega, HasDisk: true}, part: 0.75,
		},
		{name: "zswap that is off", swaps: heading + "/swap file 1024 0 -2\n", zswap: "N\n", want: Swap{DiskRoom: mega, HasDisk: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			parameters := filepath.Join(dir, "module/zswap/parameters")
			err := os.MkdirAll(parameters, 0o755)
			for name, text := range map[string]string{"swaps": test.swaps, "meminfo": test.meminfo, "module/zswap/parameters/enabled": test.zswap} {
				err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
			}
			if err != nil {
				t.Fatal(err)
			}
			got := readSwap(dir, dir)
			// A fifth of the memory is not a whole number of megabytes.
			if test.want.Room > 0 && got.Room-test.want.Room < 4*mega && test.want.Room-got.Room < 4*mega {
				got.Room = test.want.Room
			}
			if got != test.want || got.CompressedPart() != test.part {
				t.Errorf("%+v (%v of it compressed), want %+v (%v)", got, got.CompressedPart(), test.want, test.part)
			}
		})
	}
}
