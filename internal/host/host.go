// Package host knows the computer that the daemon runs on: which QEMUs are
// installed and what they can do, whether KVM works here, what firmware and
// other programs there are, and how much of everything there is.
package host

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"syscall"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/process"
	"github.com/panalvm/panal/internal/qemu"
)

// Host is the computer that the daemon runs on.
type Host struct {
	cache qemu.Cache
	user  *process.Identity // whom QEMU runs as; nil for the daemon's own user
	log   *slog.Logger

	mu      sync.Mutex // guards engines; never held while probing
	engines map[api.Architecture]*engineOnce
}

// engineOnce is an engine that is looked for by whoever needs it first; the
// others wait.
type engineOnce struct {
	done   chan struct{}
	engine Engine
	err    error
}

// Engine is a QEMU that runs machines of one architecture.
type Engine struct {
	Capabilities qemu.Capabilities
	Accelerator  string // kvm or tcg
	Why          string // why that accelerator
}

// New makes a host. What is found out by trying is kept in the cache directory,
// so that the next daemon need not try again.
func New(cacheDir string, user *process.Identity, log *slog.Logger) *Host {
	return &Host{
		cache: qemu.Cache{Dir: cacheDir}, user: user, log: log,
		engines: map[api.Architecture]*engineOnce{},
	}
}

// Native is the architecture of the host's own processors.
func Native() api.Architecture {
	switch runtime.GOARCH {
	case "arm64":
		return api.AArch64
	case "riscv64":
		return api.RISCV64
	}
	return api.X8664
}

// Engine finds the QEMU for an architecture and how fast it can be. What was
// found is remembered; a failure is not, so that installing what was missing
// helps at once.
func (h *Host) Engine(ctx context.Context, arch api.Architecture) (Engine, error) {
	h.mu.Lock()
	once := h.engines[arch]
	first := once == nil
	if first {
		once = &engineOnce{done: make(chan struct{})}
		h.engines[arch] = once
	}
	h.mu.Unlock()
	if first {
		go h.find(context.WithoutCancel(ctx), arch, once)
	}
	select {
	case <-once.done:
		return once.engine, once.err
	case <-ctx.Done():
		return Engine{}, ctx.Err()
	}
}

func (h *Host) find(ctx context.Context, arch api.Architecture, once *engineOnce) {
	once.engine, once.err = h.probe(ctx, arch)
	if once.err != nil {
		h.mu.Lock()
		delete(h.engines, arch)
		h.mu.Unlock()
	}
	close(once.done)
}

func (h *Host) probe(ctx context.Context, arch api.Architecture) (Engine, error) {
	binary, err := qemu.Find(arch)
	if err != nil {
		return Engine{}, err
	}
	capabilities, err := h.cache.Capabilities(ctx, binary)
	if err != nil {
		return Engine{}, problem.New(api.KindUnsupported, "", "ask %s what it can do: %s", binary, err)
	}
	engine := Engine{Capabilities: capabilities, Accelerator: "tcg"}
	if arch != Native() {
		engine.Why = fmt.Sprintf("%s is not this host's architecture, so its code is translated", arch)
		return engine, nil
	}
	verdict := h.cache.KVM(ctx, binary, h.credential())
	engine.Why = verdict.Why
	if verdict.Usable {
		engine.Accelerator = "kvm"
	}
	h.log.Info("accelerator chosen", "architecture", arch, "accelerator", engine.Accelerator, "why", engine.Why)
	return engine, nil
}

// credential is whom QEMU runs as; nil for the daemon's own user.
func (h *Host) credential() *syscall.Credential {
	if h.user == nil {
		return nil
	}
	return h.user.Credential()
}
