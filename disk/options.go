package disk

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// choose checks options against what a format has for a variant, and adds
// the defaults.
func choose(f *Format, variant string, given map[string]string) (map[string]string, error) {
	chosen := map[string]string{}
	known := []string{}
	for _, o := range f.Options {
		if o.Variants == nil || slices.Contains(o.Variants, variant) {
			known = append(known, o.Name)
			if o.Default != "" {
				chosen[o.Name] = o.Default
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		i := slices.IndexFunc(f.Options, func(o Option) bool { return sameName(o.Name, name) })
		if i < 0 || !slices.Contains(known, f.Options[i].Name) {
			return nil, Usage("%s has no option %q; it has %s", whole(f.Name, variant), name, orNone(known))
		}
		value, err := f.Options[i].normalise(given[name])
		if err != nil {
			return nil, err
		}
		chosen[f.Options[i].Name] = value
	}
	return chosen, nil
}

// sameName tells whether an option is meant by a name: qemu-img's cluster_size
// is clusterSize.
func sameName(option, name string) bool {
	return strings.EqualFold(option, strings.ReplaceAll(name, "_", ""))
}

func whole(format, variant string) string {
	if variant == "" {
		return format
	}
	return format + ":" + variant
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// normalise checks a value and writes it in the one way that formats read.
func (o Option) normalise(value string) (string, error) {
	switch o.Kind {
	case Bytes, Number:
		n, err := ParseSize(value)
		if err != nil {
			return "", Usage("option %s: %v", o.Name, err)
		}
		if (o.Min != 0 || o.Max != 0) && (n < o.Min || n > o.Max) {
			return "", Usage("option %s is %s; it must be from %d to %d", o.Name, value, o.Min, o.Max)
		}
		return strconv.FormatInt(n, 10), nil
	case Switch:
		switch strings.ToLower(value) {
		case "on", "true", "yes", "1":
			return "on", nil
		case "off", "false", "no", "0":
			return "off", nil
		}
		return "", Usage("option %s is %q; it must be on or off", o.Name, value)
	case Choice:
		for _, c := range o.Choices {
			if strings.EqualFold(c, value) {
				return c, nil
			}
		}
		return "", Usage("option %s is %q; it must be one of %s", o.Name, value, strings.Join(o.Choices, ", "))
	case Text:
	}
	return value, nil
}

// ParseSize reads a number of bytes: digits, and maybe a binary unit: "512",
// "64K", "20G", "1.5TiB".
func ParseSize(text string) (int64, error) {
	number := strings.TrimRight(strings.ToUpper(strings.TrimSpace(text)), "IB")
	unit := 0
	if i := strings.IndexAny(number, "KMGTPE"); i >= 0 && i == len(number)-1 {
		unit = strings.IndexByte("KMGTPE", number[i]) + 1
		number = number[:i]
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && n >= 0 && n <= math.MaxInt64>>(10*unit) {
		return n << (10 * unit), nil
	}
	v, err := strconv.ParseFloat(number, 64)
	v *= float64(int64(1) << (10 * unit))
	if err != nil || unit == 0 || !(v >= 0 && v < math.MaxInt64) || strings.ContainsAny(number, "EXPN_") {
		return 0, Usage("%q is not a size; write it like 512, 64K or 20G", text)
	}
	return int64(v), nil
}
