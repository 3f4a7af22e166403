package vhdx

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
)

func TestSuite(t *testing.T) {
	for _, c := range []struct {
		name    string
		variant string
		options map[string]string
		block   int64
		size    int64
		align   int64
	}{
		{"dynamic", "dynamic", map[string]string{optionBlock: "1M"}, mib, 0, 512},
		{"fixed", "fixed", map[string]string{optionBlock: "2M"}, 2 * mib, 5*mib + 512, 512},
		{"4096", "dynamic", map[string]string{optionBlock: "1M", optionLogical: "4096"}, mib, 3*mib + 4096, 4096},
	} {
		t.Run(c.name, func(t *testing.T) {
			disktest.Run(t, disktest.Subject{Format: Format, Variant: c.variant, Options: c.options, Block: c.block, Size: c.size, Align: c.align, Skip: map[string]string{}})
		})
	}
}
