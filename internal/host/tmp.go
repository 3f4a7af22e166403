package host

import (
	"context"

	"github.com/panalvm/panal/internal/qemu"
)

type tmpCache struct{ Dir string }
type tmpVerdict struct {
	Usable bool
	Why    string
}

func (tmpCache) Capabilities(ctx context.Context, b string) (qemu.Capabilities, error) {
	return qemu.Probe(ctx, b)
}
func (tmpCache) KVM(ctx context.Context, b string) (tmpVerdict, error) {
	return tmpVerdict{false, "tmp"}, nil
}
