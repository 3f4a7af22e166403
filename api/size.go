package api

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes. In JSON it is written as a number and read as a
// number or as a string with a binary unit ("512M", "20G"), so that files
// written by hand stay readable.
type Size int64

// The binary units.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

var sizeUnits = []struct {
	letter string
	factor Size
}{{"T", TiB}, {"G", GiB}, {"M", MiB}, {"K", KiB}}

// ParseSize reads a size such as 4096, 512M, 1.5G or 20GiB. Units are binary,
// in either case, with or without a closing B or iB. Negative sizes, fractions
// of a byte and sizes beyond 8 EiB are errors.
func ParseSize(text string) (Size, error) {
	number, factor := strings.TrimSpace(text), Size(1)
	upper := strings.ToUpper(number)
	upper = strings.TrimSuffix(strings.TrimSuffix(upper, "B"), "I")
	for _, unit := range sizeUnits {
		if rest, found := strings.CutSuffix(upper, unit.letter); found {
			upper, factor = rest, unit.factor
			break
		}
	}
	upper = strings.TrimSpace(upper)
	if whole, err := strconv.ParseInt(upper, 10, 64); err == nil {
		if whole < 0 || whole > math.MaxInt64/int64(factor) {
			return 0, fmt.Errorf("size %q is out of range", text)
		}
		return Size(whole) * factor, nil
	}
	value, err := strconv.ParseFloat(upper, 64)
	bytes := value * float64(factor)
	if err != nil || math.IsNaN(bytes) || strings.ContainsAny(upper, "EXPN") {
		return 0, fmt.Errorf("size %q is not a number with an optional unit K, M, G or T, such as 512M", text)
	}
	if bytes < 0 || bytes >= math.MaxInt64 {
		return 0, fmt.Errorf("size %q is out of range", text)
	}
	if bytes != math.Trunc(bytes) {
		return 0, fmt.Errorf("size %q is not a whole number of bytes", text)
	}
	return Size(bytes), nil
}

// ParseMemory reads a size, or a range of them as MINIMUM..MAXIMUM: such a memory
// begins at its minimum unless it is told otherwise.
func ParseMemory(text string) (Memory, error) {
	low, high, isRange := strings.Cut(text, "..")
	if !isRange {
		size, err := ParseSize(text)
		return Memory{Size: size}, err
	}
	var m Memory
	var err error
	if m.Minimum, err = ParseSize(low); err == nil {
		m.Maximum, err = ParseSize(high)
	}
	switch {
	case err != nil:
	case m.Minimum == 0:
		err = fmt.Errorf("the range %q begins with nothing; a guest keeps some memory in any case", text)
	case m.Minimum > m.Maximum:
		err = fmt.Errorf("the range %q does not go from a smaller size to a larger one", text)
	}
	return m, err
}

// String writes the size with the largest unit that divides it: 512M, 20G.
func (s Size) String() string {
	for _, unit := range sizeUnits {
		if s != 0 && s%unit.factor == 0 {
			return strconv.FormatInt(int64(s/unit.factor), 10) + unit.letter
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// UnmarshalJSON reads a number of bytes or a string for [ParseSize].
func (s *Size) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		text = string(data)
	}
	parsed, err := ParseSize(text)
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}
