package guests

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// digestLength is how many hexadecimal digits of a digest are in the name of a guest's directory.
const digestLength = 12

// manifestName is the file that says what a guest was made from. A directory without it is no guest.
const manifestName = "manifest.json"

// manifest is the content of that file.
type manifest struct {
	Packages []string `json:"packages"`
	Missing  []string `json:"missing,omitempty"`
}

// builder makes a guest's files in the directory out; work is for what it needs meanwhile, and is removed.
type builder func(ctx context.Context, work, out string) (manifest, error)

// Dir returns the directory guests are kept in.
func Dir() (string, error) {
	if dir := os.Getenv("PANAL_GUESTS"); dir != "" {
		return filepath.Abs(dir)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a directory for guests: %w: set PANAL_GUESTS", err)
	}
	return filepath.Join(cache, "panal", "guests"), nil
}

// lookup returns the directory of the newest guest of that name and recipe.
func lookup(name, recipe string) (string, error) {
	dir, err := Dir()
	if err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(dir, name+"-"+recipe+"-*", manifestName))
	if err != nil {
		return "", fmt.Errorf("look for guest %s: %w", name, err)
	}
	if len(found) == 0 {
		return "", fmt.Errorf("guest %s: %w: `go run ./test/guests/cmd/guests build` does it", name, ErrNotBuilt)
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return modified(a).Compare(modified(b)) })
	return filepath.Dir(newest), nil
}

// ensure returns the directory of a guest, built if need be.
func ensure(ctx context.Context, name, recipe string, build builder) (string, error) {
	if dir, err := lookup(name, recipe); !errors.Is(err, ErrNotBuilt) {
		return dir, err
	}
	dir, err := Dir()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make a directory for guests: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(dir, "."+name+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if found, err := lookup(name, recipe); !errors.Is(err, ErrNotBuilt) {
		return found, err // by whoever held the lock before
	}
	return produce(ctx, dir, name, recipe, build)
}

// produce builds a guest beside its place and moves it there. The caller holds the lock.
func produce(ctx context.Context, dir, name, recipe string, build builder) (string, error) {
	// A builder that was killed leaves its directory; whoever has the lock next clears it away.
	work := filepath.Join(dir, "."+name+".building")
	if err := os.RemoveAll(work); err != nil {
		return "", fmt.Errorf("clear away an unfinished guest: %w", err)
	}
	defer os.RemoveAll(work)
	out := filepath.Join(work, "out")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return "", fmt.Errorf("make a directory for the guest: %w", err)
	}
	made, err := build(ctx, work, out)
	if err != nil {
		return "", err
	}
	if err := writeManifest(out, made); err != nil {
		return "", err
	}
	final := filepath.Join(dir, name+"-"+recipe+"-"+digest([]byte(strings.Join(made.Packages, "\n"))))
	if err := os.Rename(out, final); err != nil {
		return "", fmt.Errorf("put the guest into its place: %w", err)
	}
	return final, nil
}

// lock waits for the lock on a file, which the kernel lifts when its holder dies. The function returned lifts it.
func lock(ctx context.Context, path string) (func(), error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the guest: %w", err)
	}
	locked := make(chan error, 1)
	go func() { locked <- unix.Flock(int(file.Fd()), unix.LOCK_EX) }()
	select {
	case err := <-locked:
		if err != nil {
			file.Close()
			return nil, fmt.Errorf("lock the guest: %w", err)
		}
		return func() { file.Close() }, nil
	case <-ctx.Done():
		// The wait itself cannot be ended; whenever it succeeds, the lock is let go.
		go func() {
			<-locked
			file.Close()
		}()
		return nil, fmt.Errorf("wait for another builder of the guest: %w", ctx.Err())
	}
}

func readManifest(dir string) (manifest, error) {
	var m manifest
	content, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err == nil {
		err = json.Unmarshal(content, &m)
	}
	if err != nil {
		return m, fmt.Errorf("read what guest %s was made from: %w", dir, err)
	}
	return m, nil
}

func writeManifest(dir string, m manifest) error {
	content, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, manifestName), append(content, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write what the guest was made from: %w", err)
	}
	return nil
}

// digest is a short name for some content.
func digest(content ...[]byte) string {
	h := sha256.New()
	for _, part := range content {
		fmt.Fprintf(h, "%d\n", len(part))
		h.Write(part)
	}
	return hex.EncodeToString(h.Sum(nil))[:digestLength]
}

// modified orders guests by age; one that vanishes meanwhile is the oldest.
func modified(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
