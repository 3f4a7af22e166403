package guests

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// ErrNotBuilt is returned by the functions that only look when the guest is not in the cache.
var ErrNotBuilt = errors.New("not built")

// ErrUnknownArch is returned for an architecture there is no guest for.
var ErrUnknownArch = errors.New("no guest for this architecture")

// TinyGuest is a kernel and an initramfs. Nothing else is needed to start it.
type TinyGuest struct {
	// Arch is QEMU's name of the architecture, as aarch64.
	Arch string
	// Kernel is the kernel that is up fastest. On x86_64 it is an ELF file, which QEMU starts by its PVH entry under
	// SeaBIOS, but UEFI firmware cannot start.
	Kernel string
	// EFIKernel is a kernel that UEFI firmware starts too; other than on x86_64 the same as Kernel.
	EFIKernel string
	// Initrd is the initramfs.
	Initrd string
	// Append is the kernel's command line.
	Append string
	// Packages are the Debian packages it was made from, as name=version.
	Packages []string
	// Missing are the kernel modules it should have but the kernel has not.
	Missing []string
}

// DebianGuest is a disk image.
type DebianGuest struct {
	// Path is the image, a qcow2 file. Nobody may write to it: give it to machines as a backing file or a snapshot.
	Path string
	// User and Password log in on the first serial line.
	User, Password string
	// Packages are those installed in it, as name=version.
	Packages []string
}

// The login of the Debian guest.
const (
	debianUser     = "root"
	debianPassword = "panal"
)

// Arches lists the architectures there are tiny guests for.
func Arches() []string {
	names := make([]string, 0, len(tinyRecipes))
	for _, recipe := range tinyRecipes {
		names = append(names, recipe.arch)
	}
	return names
}

// Tiny returns the tiny guest for an architecture, and builds it first if it is not in the cache. Several processes may
// call it at once; one builds and the others wait for it.
func Tiny(ctx context.Context, arch string) (TinyGuest, error) {
	recipe, err := tinyRecipeFor(arch)
	if err != nil {
		return TinyGuest{}, err
	}
	dir, err := ensure(ctx, recipe.name(), recipe.digest(), recipe.build)
	if err != nil {
		return TinyGuest{}, fmt.Errorf("build guest %s: %w", recipe.name(), err)
	}
	return recipe.open(dir)
}

// LookupTiny is Tiny for a guest already built. It returns ErrNotBuilt if it is not.
func LookupTiny(arch string) (TinyGuest, error) {
	recipe, err := tinyRecipeFor(arch)
	if err != nil {
		return TinyGuest{}, err
	}
	dir, err := lookup(recipe.name(), recipe.digest())
	if err != nil {
		return TinyGuest{}, err
	}
	return recipe.open(dir)
}

// Debian returns the Debian guest, and builds it first if it is not in the cache, as Tiny does.
func Debian(ctx context.Context) (DebianGuest, error) {
	dir, err := ensure(ctx, debianName, debianDigest(), buildDebian)
	if err != nil {
		return DebianGuest{}, fmt.Errorf("build guest %s: %w", debianName, err)
	}
	return openDebian(dir)
}

// LookupDebian is Debian for a guest already built. It returns ErrNotBuilt if it is not.
func LookupDebian() (DebianGuest, error) {
	dir, err := lookup(debianName, debianDigest())
	if err != nil {
		return DebianGuest{}, err
	}
	return openDebian(dir)
}

func openDebian(dir string) (DebianGuest, error) {
	m, err := readManifest(dir)
	return DebianGuest{
		Path:     filepath.Join(dir, debianImage),
		User:     debianUser,
		Password: debianPassword,
		Packages: m.Packages,
	}, err
}

func tinyRecipeFor(arch string) (tinyRecipe, error) {
	i := slices.IndexFunc(tinyRecipes, func(r tinyRecipe) bool { return r.arch == arch })
	if i < 0 {
		return tinyRecipe{}, fmt.Errorf("%w: %s (there are %v)", ErrUnknownArch, arch, Arches())
	}
	return tinyRecipes[i], nil
}
