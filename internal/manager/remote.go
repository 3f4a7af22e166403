package manager

import (
	"errors"
	"net"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/qemu"
)

// lookAtRemote fixes what is known of a disk that is served. What is on it is the
// guest's, and nobody looks.
func lookAtRemote(drive *api.Drive) error {
	remote, err := machine.ParseRemote(drive.Source)
	if err != nil {
		return problem.New(api.KindInvalid, "", "source %s %s", drive.Source, err)
	}
	drive.Format = "raw"
	if drive.Kind == "" {
		drive.Kind = api.Disk
	}
	_, err = portalOf(drive.Source, remote)
	return err
}

// answerWithin is how long a portal may take to answer.
const answerWithin = 3 * time.Second

// portalOf is the first portal that answers; of a Unix socket it is empty.
func portalOf(source string, remote machine.Remote) (string, error) {
	network, places := "tcp", remote.Portals
	if remote.Socket != "" {
		network, places = "unix", []string{remote.Socket}
	}
	var errs []error
	for _, place := range places {
		conn, err := net.DialTimeout(network, place, answerWithin)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		_ = conn.Close() // nothing was said
		if network == "unix" {
			place = ""
		}
		return place, nil
	}
	help := "start what serves it, or correct the source"
	if remote.Protocol == "nfs" {
		help += "; NFS version 3 with its portmapper, port 111, is what QEMU speaks: what is served otherwise can be mounted on the host, and its path be the source"
	}
	return "", problem.New(api.KindUnreadable, help, "the disk %s is not served: %s", source, errors.Join(errs...))
}

// remoteImage finds a disk that is served.
func remoteImage(drive api.Drive) (qemu.Chain, error) {
	remote, err := machine.ParseRemote(drive.Source)
	if err != nil {
		return nil, problem.New(api.KindInvalid, "", "source %s %s", drive.Source, err)
	}
	portal, err := portalOf(drive.Source, remote)
	if err != nil {
		return nil, err
	}
	return qemu.Chain{{
		Path: drive.Source, Format: "raw", ReadOnly: machine.WriteModeOf(drive) == api.WriteNothing,
		Remote: &qemu.Remote{Remote: remote, Portal: portal, SecretFile: drive.SecretFile},
	}}, nil
}
