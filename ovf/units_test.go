package ovf_test

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/ovf"
)

func TestUnits(t *testing.T) {
	for text, want := range map[string]ovf.Unit{
		"": {"byte", 1}, "byte": {"byte", 1}, "Bytes": {"byte", 1}, "byte * 2^20": {"byte", 1 << 20}, "byte*2^20": {"byte", 1 << 20},
		"byte * 2 ^ 30": {"byte", 1 << 30}, " bytes * 2^20 ": {"byte", 1 << 20}, "byte*1024*1024": {"byte", 1 << 20}, "2^30 * byte": {"byte", 1 << 30},
		"byte * 10^9": {"byte", 1e9}, "byte * 2^(40)": {"byte", 1 << 40}, "MegaBytes": {"byte", 1 << 20}, "megabyte": {"byte", 1 << 20}, "GigaBytes": {"byte", 1 << 30},
		"KiloBytes": {"byte", 1 << 10}, "TeraBytes": {"byte", 1 << 40}, "MB": {"byte", 1 << 20}, "KB": {"byte", 1 << 10}, "GiB": {"byte", 1 << 30}, "G": {"byte", 1 << 30}, "mebibytes": {"byte", 1 << 20},
		"hertz * 10^6": {"hertz", 1e6}, "Hertz*10^9": {"hertz", 1e9}, "MHz": {"hertz", 1e6}, "GigaHertz": {"hertz", 1e9},
		"count": {"count", 1}, "1": {"count", 1}, "percent": {"percent", 1}, "bit / second * 10^9": {"bit/second", 1e9}, "megabyte*2": {"byte", 2 << 20},
	} {
		if have, err := ovf.ParseUnit(text); err != nil || have != want {
			t.Errorf("%q is %v, %v; it should be %v", text, have, err, want)
		}
	}
}

func TestWrongUnits(t *testing.T) {
	for _, text := range []string{"byte * 2^64", "byte * 2^-1", "byte *", "* *", "byte 2", "byte * 0", "byte * 2^63 * 2", "byte / 2", "count / kb", "2^20^2", "байт", "byte * 99999999999999999999", strings.Repeat("b", 300)} {
		if have, err := ovf.ParseUnit(text); err == nil {
			t.Errorf("%q is %v", text, have)
		}
	}
}

func TestQuantities(t *testing.T) {
	gib := ovf.Unit{Base: "byte", Factor: 1 << 30}
	for text, want := range map[string]int64{"0": 0, "1": 1 << 30, " 8 ": 8 << 30, "1.5": 3 << 29, "0.5": 1 << 29, "8589934591": 8589934591 << 30} {
		if have, err := gib.Of(text); err != nil || have != want {
			t.Errorf("%q is %d, %v", text, have, err)
		}
	}
	for _, text := range []string{"", "-1", "1e9", "0x10", "1,5", "1.5.2", "NaN", strings.Repeat("1", 50)} {
		if have, err := gib.Of(text); err == nil {
			t.Errorf("%q is %d", text, have)
		}
	}
	for _, text := range []string{"8589934592", "17179869184", "9999999999.5", "99999999999999999999999"} {
		if have, err := gib.Of(text); !errors.Is(err, ovf.ErrOverflow) {
			t.Errorf("%q is %d, %v", text, have, err)
		}
	}
}

// A unit that is written is read as the same, and quantities never wrap.
func TestUnitsAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := ovf.Unit{Base: rapid.SampledFrom([]string{"byte", "hertz", "bit"}).Draw(t, "base"), Factor: rapid.Uint64Min(1).Draw(t, "factor")}
		if have, err := ovf.ParseUnit(u.String()); err != nil || have != u {
			t.Fatalf("%q is %v, %v", u, have, err)
		}
		n := rapid.Uint64().Draw(t, "quantity")
		have, err := u.Of(strconv.FormatUint(n, 10))
		fits := n == 0 || u.Factor <= math.MaxInt64/n
		if fits != (err == nil) || fits && have != int64(n*u.Factor) {
			t.Fatalf("%d times %d is %d, %v", n, u.Factor, have, err)
		}
	})
}

func FuzzUnits(f *testing.F) {
	for _, text := range []string{"byte * 2^20", "MegaBytes", "bit/second", "2^63*byte"} {
		f.Add(text, "1.5")
	}
	f.Fuzz(func(t *testing.T, text, quantity string) {
		u, err := ovf.ParseUnit(text)
		if err != nil {
			return
		}
		if u.Factor == 0 || u.Base == "" {
			t.Errorf("%q is %+v", text, u)
		}
		if again, err := ovf.ParseUnit(u.String()); err != nil || again != u {
			t.Errorf("%q is %v and written %q, which is %v, %v", text, u, u.String(), again, err)
		}
		if n, err := u.Of(quantity); err == nil && n < 0 {
			t.Errorf("%q of %v is %d", quantity, u, n)
		}
	})
}
