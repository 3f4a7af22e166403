package archtest

import (
	"fmt"
	"slices"
)

// rule forbids imports. Packages of the module are written "./internal/qmp", others by their import path; "..." stands
// for anything, and a closing "/..." also for nothing, as in the go command's patterns. Tests are free: what a test
// looks at does not end up in the program.
type rule struct {
	name    string   // says in a word what the rule keeps
	from    []string // the packages it binds
	except  []string // those of them that it does not bind
	files   string   // a pattern of file names, without folder, that it does not bind either; usually empty
	deny    []string // what they must not import
	allow   []string // what of that they may
	reach   bool     // also binds what they import by way of other packages of the module
	because string   // the reason
	instead string   // what to do
}

// layers is the order of the daemon's parts: each may use those before it, and its neighbours, never those after it.
var layers = [][]string{
	{"./internal/state/..."},
	{"./internal/task/..."},
	{"./internal/media/...", "./internal/network/...", "./internal/pool/...", "./internal/resource/..."},
	{"./internal/runner/..."},
	{"./internal/server/..."},
	{"./internal/daemon/..."},
	{"./cmd/..."},
}

// diskFormats are the packages below ./disk that know one image format each.
var diskFormats = []string{"raw", "vdi", "vhd", "vhdx", "vmdk", "parallels", "qcow1", "qcow2", "xva", "luks"}

// rules is the architecture.
func rules() []rule {
	return slices.Concat(libraryRules, daemonRules, placeRules, testRules, layerRules(), formatRules())
}

// libraryRules keep the packages usable that others import into programs of their own.
var libraryRules = []rule{
	{
		name:    "libraries stand alone",
		from:    []string{"./disk/...", "./ovf/...", "./api/...", "./client/..."},
		deny:    []string{"./internal/...", "./cmd/..."},
		because: "disk, ovf, api and client are for other people's programs, which cannot use what is internal",
		instead: "move what is needed into the library, or pass it in through an interface the library declares",
	},
	{
		name:    "disk is the lowest",
		from:    []string{"./disk"},
		deny:    []string{"./..."},
		because: "everything about images imports disk, and it knows no format",
		instead: "put what knows more into a package below disk",
	},
	{
		name:    "disk knows only disks",
		from:    []string{"./disk/..."},
		deny:    []string{"./ovf/...", "./api/...", "./client/..."},
		because: "whoever imports the image engine wants neither appliances nor the daemon's interface with it",
		instead: "let the caller connect the two",
	},
	{
		name:    "ovf below ovf/ova",
		from:    []string{"./ovf"},
		deny:    []string{"./ovf/..."},
		because: "the envelope is the same whether it lies in a folder or in an archive",
		instead: "let ovf/ova use ovf, or pass a reader in",
	},
	{
		name:    "ovf knows only appliances",
		from:    []string{"./ovf/..."},
		deny:    []string{"./api/...", "./client/..."},
		because: "an appliance is a file format; what Panal makes of it is internal/appliance's",
		instead: "translate in internal/appliance",
	},
	{
		name:    "api is only types",
		from:    []string{"./api/..."},
		deny:    []string{"./..."},
		allow:   []string{"./api/..."},
		because: "the wire types are what client, CLI and daemon have in common, and take nothing else along",
		instead: "declare the type in api, and convert where it is used",
	},
	{
		name:    "client knows only the interface",
		from:    []string{"./client/..."},
		deny:    []string{"./..."},
		allow:   []string{"./api/...", "./client/..."},
		because: "what the Go client can do, any client of the HTTP interface must be able to do",
		instead: "add an operation to the interface",
	},
}

// daemonRules keep decisions apart from actions.
var daemonRules = []rule{
	{
		name:    "machine is pure",
		from:    []string{"./internal/machine/..."},
		deny:    []string{"os/...", "net/...", "syscall", "golang.org/x/sys/...", "./..."},
		allow:   []string{"net/netip", "net/url", "./api/...", "./internal/machine/..."},
		because: "validation and the state machine must give the same answer on every host and in every test",
		instead: "take what is known of the host as an argument; act on the answer in internal/runner",
	},
	{
		name:    "plan is pure",
		from:    []string{"./internal/plan/..."},
		deny:    []string{"os/...", "net/...", "syscall", "golang.org/x/sys/...", "./..."},
		allow:   []string{"net/netip", "net/url", "./api/...", "./internal/machine/...", "./internal/plan/..."},
		because: "planners are functions from a snapshot of the world to moves, so that a million worlds can be tried",
		instead: "put what the planner must know into the snapshot",
	},
	{
		name:    "qemu is pure but for probing",
		from:    []string{"./internal/qemu/..."},
		except:  []string{"./internal/qemu/...probe..."},
		files:   "probe*.go",
		deny:    []string{"os/...", "net/...", "syscall", "golang.org/x/sys/..."},
		allow:   []string{"net/netip", "net/url"},
		because: "the argument list is a function of spec and capabilities, which golden files can hold",
		instead: "ask the host in a file named probe*.go, and pass the answer in as capabilities",
	},
	{
		name:    "qemu decides nothing",
		from:    []string{"./internal/qemu/...", "./internal/qmp/..."},
		deny:    []string{"./internal/state/...", "./internal/task/...", "./internal/runner/...", "./internal/server/..."},
		reach:   true,
		because: "how QEMU is spoken to does not depend on what Panal remembers or is doing",
		instead: "let internal/runner fetch it and pass it in",
	},
	{
		name: "clients know only the interface",
		from: []string{"./client/...", "./internal/cli/...", "./internal/vbox/..."},
		deny: []string{
			"./internal/state/...", "./internal/task/...", "./internal/runner/...", "./internal/server/...",
			"./internal/qemu/...", "./internal/qmp/...", "./internal/daemon/...",
		},
		reach:   true,
		because: "what the command line can do, every client can; and a command must work on a daemon elsewhere",
		instead: "ask through ./client; wire the daemon in cmd/panal",
	},
}

// placeRules give a dependency one place, so that it can be replaced there.
var placeRules = []rule{
	{
		name:    "etcd has one place",
		from:    []string{"./..."},
		except:  []string{"./internal/state/etcdstate/..."},
		deny:    []string{"go.etcd.io/...", "google.golang.org/grpc/..."},
		because: "state is reached through internal/state, whose double in memory passes the same suite",
		instead: "use internal/state's interfaces; if they lack something, add it there and to both implementations",
	},
	{
		name:    "huma has one place",
		from:    []string{"./..."},
		except:  []string{"./internal/server/..."},
		deny:    []string{"github.com/danielgtaylor/huma/..."},
		because: "how HTTP is decoded is the server's own affair",
		instead: "return a typed error or value, and let internal/server encode it",
	},
	{
		name:    "cobra has one place",
		from:    []string{"./..."},
		except:  []string{"./internal/cli/...", "./cmd/...", "./test/.../cmd/..."},
		deny:    []string{"github.com/spf13/cobra/...", "github.com/spf13/pflag/..."},
		because: "flags belong to the command line; anything below takes values",
		instead: "take an options struct",
	},
	{
		name:    "QMP has its speakers",
		from:    []string{"./..."},
		except:  []string{"./internal/qmp/...", "./internal/qemu/...", "./internal/runner/...", "./test/..."},
		deny:    []string{"./internal/qmp/..."},
		because: "a machine's process is driven from one place, or two commands meet inside it unordered",
		instead: "ask internal/runner",
	},
}

// testRules keep tests out of the program.
var testRules = []rule{
	{
		name:    "no tests in the program",
		from:    []string{"./..."},
		except:  []string{"./test/...", "./...test", "./internal/testenv"},
		deny:    []string{"testing/...", "./test/...", "./internal/testenv"},
		because: "the package testing adds its flags to every program that it is linked into",
		instead: "move it to a _test.go file, or into a package whose name ends in test",
	},
}

// layerRules writes layers as rules.
func layerRules() []rule {
	var list []rule
	for i, layer := range layers[:len(layers)-1] {
		list = append(list, rule{
			name:    "the daemon's layers",
			from:    layer,
			deny:    slices.Concat(layers[i+1:]...),
			reach:   true,
			because: fmt.Sprintf("the order is %v: a lower part must be testable and replaceable without the higher", layers),
			instead: "declare an interface in the lower package, and let the higher implement it",
		})
	}
	return list
}

// formatRules keep formats from one another, and everything of disk but the list of formats from knowing any.
func formatRules() []rule {
	var all []string
	for _, name := range diskFormats {
		all = append(all, "./disk/"+name+"/...")
	}
	list := []rule{{
		name:    "disk/formats is the list of formats",
		from:    []string{"./disk/...", "./ovf/..."},
		except:  append([]string{"./disk/formats"}, all...),
		deny:    append([]string{"./disk/formats"}, all...),
		because: "decorators, servers and suites work on any disk.Image",
		instead: "take a disk.Image, or a list of disk.Format, as an argument",
	}}
	for i, name := range all {
		others := slices.Delete(slices.Clone(all), i, i+1)
		list = append(list, rule{
			name:    "one format never imports another",
			from:    []string{name},
			deny:    append(others, "./disk/formats"),
			because: "a format must be readable, and removable, by itself",
			instead: "move what two formats share into a package of its own below disk, named after what it is",
		})
	}
	return list
}
