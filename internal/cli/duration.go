package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/pflag"
)

// durationFlag is a flag that takes a time such as 90s or 2m, or a number of
// seconds, as the flags of many other programs do.
type durationFlag struct{ value *time.Duration }

// durationVar defines a flag for a time that is not negative.
func durationVar(flags *pflag.FlagSet, value *time.Duration, name string, standard time.Duration, usage string) {
	*value = standard
	flags.Var(durationFlag{value}, name, usage)
}

// Set reads the flag's argument.
func (f durationFlag) Set(text string) error {
	d, err := time.ParseDuration(text)
	if seconds, notNumber := strconv.ParseUint(text, 10, 31); notNumber == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no time such as 90s, 2m, or a number of seconds", text)
	}
	*f.value = d
	return nil
}

// String is the time as it is now.
func (f durationFlag) String() string {
	if f.value == nil {
		return "0s"
	}
	return f.value.String()
}

// Type is what help shows for the argument.
func (durationFlag) Type() string { return "duration" }
