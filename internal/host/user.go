package host

import (
	"errors"
	"fmt"
	"os/exec"
	"os/user"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/process"
)

// The user that QEMU runs as when the daemon is root, and the group whose
// members may speak to the daemon.
const (
	QEMUUser  = "panal-qemu"
	UserGroup = "panal"
)

// EnsureQEMUUser finds the user that a privileged daemon runs QEMU as, and
// makes it when it does not exist: it has no home, no shell and no password,
// and belongs to the group that may use KVM.
func EnsureQEMUUser() (*process.Identity, error) {
	if _, err := user.Lookup(QEMUUser); err != nil {
		args := []string{"--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin"}
		if _, err := user.LookupGroup("kvm"); err == nil {
			args = append(args, "--groups", "kvm")
		}
		if err := run("useradd", append(args, QEMUUser)...); err != nil {
			return nil, problem.New(api.KindUnsupported, "make it by hand: useradd --system "+QEMUUser,
				"QEMU must not run as root, and its user %s cannot be made: %s", QEMUUser, err)
		}
	}
	return lookup(QEMUUser)
}

// EnsureUserGroup finds the group whose members may speak to the system's
// daemon, and makes it when it does not exist.
func EnsureUserGroup() (gid int, err error) {
	if _, err := user.LookupGroup(UserGroup); err != nil {
		if err := run("groupadd", "--system", UserGroup); err != nil {
			return 0, fmt.Errorf("make the group %s: %w", UserGroup, err)
		}
	}
	group, err := user.LookupGroup(UserGroup)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(group.Gid)
}

func lookup(name string) (*process.Identity, error) {
	found, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	identity := &process.Identity{Name: name}
	if identity.UID, err = number(found.Uid); err != nil {
		return nil, err
	}
	if identity.GID, err = number(found.Gid); err != nil {
		return nil, err
	}
	groups, err := found.GroupIds()
	if err != nil {
		return nil, err
	}
	for _, group := range groups {
		gid, err := number(group)
		if err != nil {
			return nil, err
		}
		identity.Groups = append(identity.Groups, gid)
	}
	return identity, nil
}

func number(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err
}

func run(program string, args ...string) error {
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil && len(out) > 0 {
		return errors.New(strings.TrimSpace(string(out)))
	}
	return err
}
