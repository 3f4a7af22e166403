package ovf

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// Unit is what a quantity is counted in, as programmatic units say it (DSP0004
// 2.5, annex C): so many of a base.
type Unit struct {
	Base   string // "byte", "bit", "hertz", "count", "percent", "second", …; "bit/second" of a rate
	Factor uint64 // at least 1
}

// maxUnit is how long the text of a unit may be.
const maxUnit = 200

// ParseUnit reads a unit: "byte * 2^20" and all its spellings seen, "MegaBytes"
// and other words of OVF 0.9 and of programs that stayed with them, "MB",
// "hertz * 10^6", "MHz". Words of bytes are binary, whatever the word: that
// is what everybody who writes them means. Empty text is one byte, which is
// the default of capacities; of other items ask [Item.Unit].
func ParseUnit(text string) (Unit, error) {
	if len(text) > maxUnit {
		return Unit{}, fmt.Errorf("reading the unit %.40q…: it is longer than %d bytes", text, maxUnit)
	}
	s := strings.ToLower(strings.TrimSpace(text))
	if s == "" {
		return Unit{"byte", 1}, nil
	}
	if u, ok := unitWord(strings.ReplaceAll(s, " ", "")); ok {
		return u, nil
	}
	u, err := programmatic(s)
	if err != nil {
		return Unit{}, fmt.Errorf("reading the unit %q: %w; units are like \"byte * 2^20\"", text, err)
	}
	return u, nil
}

// unitWord reads units that are one word.
func unitWord(s string) (Unit, bool) {
	switch s {
	case "byte", "bytes", "b":
		return Unit{"byte", 1}, true
	case "hertz", "hz":
		return Unit{"hertz", 1}, true
	case "count", "counts", "processor", "processors", "virtualprocessor", "virtualprocessors", "cpu", "cpus", "cores":
		return Unit{"count", 1}, true
	case "percent", "%":
		return Unit{"percent", 1}, true
	}
	for _, base := range []struct {
		name     string
		suffixes []string
		step     uint64
	}{{"byte", []string{"ibytes", "ibyte", "bytes", "byte", "ib", "b", ""}, 1024}, {"hertz", []string{"hertz", "hz"}, 1000}} {
		for _, suffix := range base.suffixes {
			prefix, ok := strings.CutSuffix(s, suffix)
			if power := unitPrefix(prefix); ok && power > 0 {
				return Unit{base.name, pow(base.step, power)}, true
			}
		}
	}
	return Unit{}, false
}

// unitPrefix is the power of a prefix: 1 for "kilo"; 0 if it is none.
func unitPrefix(prefix string) int {
	for i, names := range [][]string{{"k", "kilo", "ki", "kibi"}, {"m", "mega", "mi", "mebi"}, {"g", "giga", "gi", "gibi"}, {"t", "tera", "ti", "tebi"}, {"p", "peta", "pi", "pebi"}} {
		for _, name := range names {
			if prefix == name {
				return i + 1
			}
		}
	}
	return 0
}

func pow(base uint64, power int) uint64 {
	n := uint64(1)
	for range power {
		n *= base
	}
	return n
}

// programmatic reads bases and numbers with * and / between.
func programmatic(s string) (Unit, error) {
	u := Unit{Factor: 1}
	for len(s) > 0 {
		sign := byte('*')
		if s[0] == '*' || s[0] == '/' {
			sign, s = s[0], s[1:]
		} else if u.Base != "" {
			return u, fmt.Errorf("%q is not * or /", s[:1])
		}
		end := strings.IndexAny(s, "*/")
		if end < 0 {
			end = len(s)
		}
		if err := u.times(sign, strings.TrimSpace(s[:end])); err != nil {
			return u, err
		}
		s = s[end:]
	}
	if u.Base == "" {
		u.Base = "count"
	}
	return u, nil
}

// times multiplies by a term, or divides by a base.
func (u *Unit) times(sign byte, term string) error {
	n, isNumber, err := unitNumber(term)
	switch {
	case err != nil:
		return err
	case isNumber && sign == '/':
		return fmt.Errorf("it divides by a number, %s", term)
	case isNumber:
		hi, lo := bits.Mul64(u.Factor, n)
		if hi != 0 || n == 0 {
			return fmt.Errorf("its factor is %w, or zero", ErrOverflow)
		}
		u.Factor = lo
		return nil
	}
	if !isName(term) {
		return fmt.Errorf("%q is neither a number nor a word", term)
	}
	base, ok := unitWord(term)
	if word := singular(term); !ok {
		if base, ok = unitWord(word); !ok {
			base = Unit{word, 1}
		}
	}
	switch {
	case sign == '/' && base.Factor != 1:
		return fmt.Errorf("it divides by %s, which is %d times a base", term, base.Factor)
	case sign == '/':
		u.Base += "/" + base.Base
		return nil
	}
	if u.Base != "" && u.Base != base.Base {
		u.Base += "*" + base.Base
	} else {
		u.Base = base.Base
	}
	return u.times('*', strconv.FormatUint(base.Factor, 10))
}

// singular takes the s off "seconds".
func singular(word string) string {
	if len(word) > 3 && strings.HasSuffix(word, "s") && !strings.HasSuffix(word, "ss") {
		return word[:len(word)-1]
	}
	return word
}

// unitNumber reads "1024", "2^20", "2 ^ 20" and "2**20" without its stars.
func unitNumber(term string) (n uint64, ok bool, err error) {
	base, exponent, power := strings.Cut(term, "^")
	n, err = strconv.ParseUint(strings.TrimSpace(base), 10, 64)
	if err != nil {
		if power || strings.Trim(base, "0123456789 ") == "" {
			return 0, false, fmt.Errorf("%q is no number of 64 bits", term)
		}
		return 0, false, nil
	}
	if !power {
		return n, true, nil
	}
	e, err := strconv.ParseUint(strings.Trim(exponent, " ()"), 10, 8)
	if err != nil {
		return 0, false, fmt.Errorf("%q is no power that a unit may have", term)
	}
	result := new(big.Int).Exp(new(big.Int).SetUint64(n), new(big.Int).SetUint64(e), nil)
	if !result.IsUint64() {
		return 0, false, fmt.Errorf("%q is %w", term, ErrOverflow)
	}
	return result.Uint64(), true, nil
}

// Of is how many of the base a quantity is. The quantity is a whole number, or
// one with a fraction if the result is whole or the unit large: "1.5" of
// "byte * 2^30". ErrOverflow when it does not fit in 63 bits.
func (u Unit) Of(quantity string) (int64, error) {
	text := strings.TrimSpace(quantity)
	if len(text) > 40 || text == "" || strings.Trim(text, "0123456789.") != "" {
		return 0, fmt.Errorf("reading the quantity %.60q: it is not a number", quantity)
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		hi, lo := bits.Mul64(n, u.Factor)
		if hi != 0 || lo > math.MaxInt64 {
			return 0, fmt.Errorf("%s times %d %s: %w", text, u.Factor, u.Base, ErrOverflow)
		}
		return int64(lo), nil
	}
	exact, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, fmt.Errorf("reading the quantity %q: it is not a number", quantity)
	}
	exact.Mul(exact, new(big.Rat).SetInt(new(big.Int).SetUint64(u.Factor)))
	whole := new(big.Int).Quo(exact.Num(), exact.Denom())
	if !whole.IsInt64() {
		return 0, fmt.Errorf("%s times %d %s: %w", text, u.Factor, u.Base, ErrOverflow)
	}
	return whole.Int64(), nil
}

// String writes the unit as DSP0004 does.
func (u Unit) String() string {
	if u.Factor == 1 {
		return u.Base
	}
	if bits.OnesCount64(u.Factor) == 1 {
		return fmt.Sprintf("%s * 2^%d", u.Base, bits.TrailingZeros64(u.Factor))
	}
	tens := 0
	n := u.Factor
	for n%10 == 0 {
		n, tens = n/10, tens+1
	}
	if n == 1 {
		return fmt.Sprintf("%s * 10^%d", u.Base, tens)
	}
	return fmt.Sprintf("%s * %d", u.Base, u.Factor)
}
