package manager

import (
	"github.com/panalvm/panal/internal/host"
	"github.com/panalvm/panal/internal/machine"
)

// defaults is what specs are completed with on this host.
func (m *Manager) defaults() machine.Defaults {
	return machine.Defaults{Architecture: host.Native()}
}
