package media

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestMoveReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	for _, path := range []string{from, to} {
		if err := os.WriteFile(path, []byte(path), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Move(context.Background(), from, to, func(int64, int64) {}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("moved over a file: %v", err)
	}
	for _, path := range []string{from, to} {
		if text, err := os.ReadFile(path); string(text) != path {
			t.Errorf("%s holds %q: %v", path, text, err)
		}
	}
	if copied, err := Move(context.Background(), from, from, func(int64, int64) {}); err != nil || copied {
		t.Error("to where it is:", copied, err)
	}
	if copied, err := Move(context.Background(), from, filepath.Join(dir, "free"), func(int64, int64) {}); err != nil || copied {
		t.Error(copied, err)
	}
}
