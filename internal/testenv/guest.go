package testenv

import (
	"errors"
	"testing"

	"github.com/panalvm/panal/test/guests"
)

// TinyGuest returns the tiny guest of an architecture, as aarch64. If it is not built, the test is skipped with the
// command that builds it; in CI it is built, and the test fails if that fails.
func TinyGuest(t testing.TB, arch string) guests.TinyGuest {
	t.Helper()
	guest, err := guests.LookupTiny(arch)
	if errors.Is(err, guests.ErrNotBuilt) && InCI() {
		guest, err = guests.Tiny(t.Context(), arch)
	}
	return orMissing(t, guest, err)
}

// AgentGuest returns the tiny guest that runs QEMU's guest agent, with the same conditions as TinyGuest.
func AgentGuest(t testing.TB) guests.TinyGuest {
	t.Helper()
	guest, err := guests.LookupTinyWithAgent()
	if errors.Is(err, guests.ErrNotBuilt) && InCI() {
		guest, err = guests.TinyWithAgent(t.Context())
	}
	return orMissing(t, guest, err)
}

// DebianGuest returns the Debian guest, with the same conditions as TinyGuest.
func DebianGuest(t testing.TB) guests.DebianGuest {
	t.Helper()
	guest, err := guests.LookupDebian()
	if errors.Is(err, guests.ErrNotBuilt) && InCI() {
		guest, err = guests.Debian(t.Context())
	}
	return orMissing(t, guest, err)
}

// orMissing returns the guest unless it could not be had.
func orMissing[G any](t testing.TB, guest G, err error) G {
	t.Helper()
	switch {
	case errors.Is(err, guests.ErrNotBuilt):
		Missing(t, err.Error())
	case err != nil:
		t.Fatal(err)
	}
	return guest
}
