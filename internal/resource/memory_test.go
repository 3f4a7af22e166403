package resource

import (
	"errors"
	"testing"

	"github.com/panalvm/panal/api"
)

func TestAdmitMemory(t *testing.T) {
	claim := func(maximum, reserve api.Size) MemoryClaim {
		return MemoryClaimOf("m", api.Memory{Maximum: maximum * api.GiB, Reserve: reserve * api.GiB})
	}
	locked := MemoryClaimOf("m", api.Memory{Maximum: 5 * api.GiB, Locked: true})
	huge := MemoryClaimOf("m", api.Memory{Maximum: 64 * api.GiB, PageSize: api.GiB})
	tests := []struct {
		name   string
		there  api.Size
		others []MemoryClaim
		claim  MemoryClaim
		ratio  float64
		want   any
	}{
		{"it fits", 8, []MemoryClaim{claim(3, 3)}, claim(4, 4), 1, nil},
		{"reservations do not", 8, []MemoryClaim{claim(5, 5)}, claim(4, 3), 4, &MemoryOverreserved{}},
		{"the overhead does not", 8, nil, claim(8, 8), 4, &MemoryOverreserved{}},
		{"none is reserved", 8, []MemoryClaim{claim(8, 7)}, claim(8, 0), 4, nil},
		{"maximums do not", 8, []MemoryClaim{claim(5, 0)}, claim(5, 0), 1, &MemoryOvercommitted{}},
		{"locked memory is reserved", 8, []MemoryClaim{locked}, claim(4, 3), 4, &MemoryOverreserved{}},
		{"huge pages are not of it", 8, []MemoryClaim{claim(4, 4)}, huge, 1, nil},
		{"their process is", 1, []MemoryClaim{claim(1, 0)}, huge, 9, &MemoryOverreserved{}},
		{"they may", 8, []MemoryClaim{claim(5, 0)}, claim(5, 0), 2, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := AdmitMemory(test.there*api.GiB, test.others, test.claim, test.ratio)
			var reserved *MemoryOverreserved
			var many *MemoryOvercommitted
			switch test.want.(type) {
			case *MemoryOverreserved:
				if !errors.As(err, &reserved) {
					t.Error(err)
				}
			case *MemoryOvercommitted:
				if !errors.As(err, &many) {
					t.Error(err)
				}
			default:
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}
