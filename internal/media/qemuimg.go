package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
)

// qemuImg runs qemu-img and returns what it printed. Its complaint is the
// error's text, without the parts that every complaint has.
func qemuImg(ctx context.Context, args ...string) ([]byte, error) {
	var complaint bytes.Buffer
	command := exec.CommandContext(ctx, "qemu-img", args...)
	command.Stderr = &complaint
	command.Env = append(os.Environ(), "LC_ALL=C")
	out, err := command.Output()
	switch text := strings.TrimSpace(complaint.String()); {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return nil, problem.New(api.KindMissing, "install the package qemu-utils", "qemu-img is not installed")
	case strings.Contains(text, "No space left on device"):
		return nil, fmt.Errorf("qemu-img: %w", syscall.ENOSPC)
	case text != "":
		last := text[strings.LastIndexByte(text, '\n')+1:]
		return nil, errors.New(strings.TrimPrefix(last, "qemu-img: "))
	default:
		return nil, fmt.Errorf("qemu-img: %w", err)
	}
}
