package vmdk

import (
	"strconv"

	"github.com/panalvm/panal/disk"
)

// Names of options.
const (
	optGrain    = "grainSize"
	optAdapter  = "adapterType"
	optHardware = "hwVersion"
	optTools    = "toolsVersion"
	optCompat6  = "compat6"
	optZeroed   = "zeroedGrain"
	optThin     = "thin"
	optExtent   = "extentSize"
)

func options() []disk.Option {
	return []disk.Option{
		{
			Name: optGrain, Kind: disk.Bytes, Default: "64K", Min: 4 << 10, Max: 1 << 20,
			Variants: []string{kindSparse, kindSplitSparse, kindStream}, Help: "unit of allocation; VMware's programs expect 64K",
		},
		{Name: optAdapter, Kind: disk.Choice, Choices: []string{"ide", "lsilogic", "buslogic", "legacyESX", "pvscsi"}, Default: "ide", Help: "the controller that guests were installed with"},
		{Name: optHardware, Kind: disk.Text, Help: "version of the virtual hardware; 4 unless chosen"},
		{Name: optTools, Kind: disk.Text, Default: "2147483647", Help: "version of VMware's tools in the guest"},
		{Name: optCompat6, Kind: disk.Switch, Default: "off", Help: "virtual hardware version 6"},
		{Name: optZeroed, Kind: disk.Switch, Default: "off", Variants: []string{kindSparse, kindSplitSparse}, Help: "say in the tables which grains are zero; readers must know version 2"},
		{
			Name: optExtent, Kind: disk.Bytes, Default: strconv.Itoa(splitSize), Min: minExtent, Max: splitSize,
			Variants: []string{kindSplitSparse, kindSplitFlat}, Help: "how much of the disk each file holds; VMware's programs take 2 GiB less 64K, or 1 MiB",
		},
		{Name: optThin, Kind: disk.Switch, Default: "off", Variants: []string{kindVMFS}, Help: "mark the disk as thinly provisioned"},
	}
}
