package machine

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
)

// setLeaf reads text as a value of v's type. Empty text is the zero value.
func setLeaf(v reflect.Value, text string) error {
	if text == "" {
		v.SetZero()
		return nil
	}
	if size, ok := v.Addr().Interface().(*api.Size); ok {
		parsed, err := api.ParseSize(text)
		*size = parsed
		return err
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		value, err := parseSwitch(text)
		v.SetBool(value)
		return err
	case reflect.Int:
		value, err := parseNumber(text)
		v.SetInt(int64(value))
		return err
	case reflect.Float64:
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", clip(text))
		}
		v.SetFloat(value)
	case reflect.Pointer:
		return setPointer(v, text)
	case reflect.Slice:
		return setList(v, text)
	case reflect.Map:
		return fmt.Errorf("is a set of named values; use %s.NAME=VALUE", "labels")
	default:
		return fmt.Errorf("has fields of its own; set one of %s", strings.Join(fieldNames(v.Type()), ", "))
	}
	return nil
}

// parseSwitch reads a yes or no.
func parseSwitch(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "on", "yes", "true", "1":
		return true, nil
	case "off", "no", "false", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither on nor off", clip(text))
}

func parseNumber(text string) (int, error) {
	value, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", clip(text))
	}
	return value, nil
}

// setPointer sets a number that may be missing, or takes away a part that may.
func setPointer(v reflect.Value, text string) error {
	if text == "none" {
		v.SetZero()
		return nil
	}
	v.Set(reflect.New(v.Type().Elem()))
	return setLeaf(v.Elem(), text)
}

// setList reads a whole list: words or forwarded ports with commas between
// them, or none.
func setList(v reflect.Value, text string) error {
	if text == "none" {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		return nil
	}
	switch list := v.Addr().Interface().(type) {
	case *[]string:
		*list = strings.Split(text, ",")
		return nil
	case *[]api.Forward:
		forwards, err := parseForwards(text)
		*list = forwards
		return err
	}
	return fmt.Errorf("is a list; set a field of one element, or none")
}

func parseForwards(text string) ([]api.Forward, error) {
	var forwards []api.Forward
	for _, one := range strings.Split(text, ",") {
		forward, err := ParseForward(one)
		if err != nil {
			return nil, err
		}
		forwards = append(forwards, forward)
	}
	return forwards, nil
}

// ParseForward reads a forwarded port: [PROTOCOL:][ADDRESS:]HOSTPORT:GUESTPORT,
// such as 2222:22 or udp:0.0.0.0:53:5353. A dash may stand between the two
// ports, as QEMU writes it. What is left out stays empty, for Complete to fill.
func ParseForward(text string) (api.Forward, error) {
	bad := fmt.Errorf("%q is not [tcp:|udp:][ADDRESS:]HOSTPORT:GUESTPORT, such as 2222:22", clip(text))
	parts := strings.Split(strings.ReplaceAll(text, "-", ":"), ":")
	var f api.Forward
	if parts[0] == "tcp" || parts[0] == "udp" {
		f.Protocol, parts = parts[0], parts[1:]
	}
	if len(parts) == 3 {
		f.HostAddress, parts = parts[0], parts[1:]
	}
	if len(parts) != 2 {
		return api.Forward{}, bad
	}
	var err, err2 error
	f.HostPort, err = parseNumber(parts[0])
	f.GuestPort, err2 = parseNumber(parts[1])
	if err != nil || err2 != nil {
		return api.Forward{}, bad
	}
	return f, nil
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		names = append(names, jsonName(t.Field(i)))
	}
	return names
}
