package vhdx

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
)

// toRepair are images to be repaired.
func toRepair() map[string][]byte {
	all := map[string][]byte{}
	for name, change := range map[string]func(h hand){
		"shared":        func(h hand) { h.entry(1, 6, handBlocks) },
		"lost":          func(h hand) { h.entry(2, 6, 64<<20) },
		"unknown state": func(h hand) { h.entry(1, 4, handBlocks) },
		"torn header":   func(h hand) { h[131072+9]++ },
		"torn regions":  func(h hand) { h[196608+17]++ },
	} {
		h := parent(512)
		change(h)
		all[name] = h
	}
	all["log"] = dirty(512)
	return all
}

// Whatever is done to an image may be broken off.
func TestUpkeep(t *testing.T) {
	for _, variant := range []string{"dynamic", "fixed"} {
		t.Run(variant, func(t *testing.T) {
			disktest.Upkeep(t, disktest.Subject{
				Format: Format, Variant: variant, Options: map[string]string{optionBlock: "1M"}, Block: mib, Size: 3*mib + 512, Rare: variant == "fixed",
			}, toRepair())
		})
	}
}
