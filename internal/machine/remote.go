package machine

import (
	"fmt"
	"math"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
)

// Remote is a disk that another program serves, over NBD, iSCSI or NFS. It is raw:
// what is on it is the guest's.
type Remote struct {
	Protocol string   // nbd, iscsi or nfs
	Portals  []string // host:port each; the first that answers is used; one of NBD, and of NFS, where it is the portmapper
	Socket   string   // of NBD on a Unix socket, instead of a portal
	Name     string   // NBD: the export's, may be empty; iSCSI: the target's; NFS: the file's, from the root
	UID, GID *int     // NFS: who the server is told that QEMU is; nil for who it is
	LUN      int      // iSCSI
	User     string   // iSCSI: for CHAP; empty for none
}

// The ports that are meant when none is named.
const (
	portNBD   = "10809"
	portISCSI = "3260"
	portNFS   = "111" // the portmapper's: it knows where mounting and files are
)

// IsRemote says whether a source is none of the host's files.
func IsRemote(source string) bool { return strings.Contains(source, "://") }

// ParseRemote reads the source of a remote disk:
//
//	nbd://HOST[:PORT]/[EXPORT]
//	nbd+unix:///[EXPORT]?socket=PATH
//	iscsi://[USER@]HOST[:PORT][,HOST[:PORT]…]/TARGET/LUN
//	nfs://HOST/DIRECTORY/FILE[?uid=N&gid=N]
func ParseRemote(source string) (Remote, error) {
	scheme, rest, _ := strings.Cut(source, "://")
	switch scheme {
	case "nbd":
		host, export, _ := strings.Cut(rest, "/")
		portals, err := parsePortals(host, portNBD)
		if err == nil && len(portals) > 1 {
			err = fmt.Errorf("names several hosts; NBD has one")
		}
		return Remote{Protocol: "nbd", Portals: portals, Name: export}, err
	case "nbd+unix":
		u, err := url.Parse(source)
		if err != nil || u.Query().Get("socket") == "" || !strings.HasPrefix(u.Query().Get("socket"), "/") {
			return Remote{}, fmt.Errorf("is not nbd+unix:///EXPORT?socket=PATH with an absolute path")
		}
		return Remote{Protocol: "nbd", Socket: u.Query().Get("socket"), Name: strings.TrimPrefix(u.Path, "/")}, nil
	case "iscsi":
		return parseISCSI(rest)
	case "nfs":
		return parseNFS(rest)
	}
	return Remote{}, fmt.Errorf("begins with %s://; there are nbd, nbd+unix, iscsi and nfs", clip(scheme))
}

// parseNFS reads a file on an NFS server. What is exported is a directory above it: the server says whether it lets that be mounted.
func parseNFS(rest string) (Remote, error) {
	place, query, _ := strings.Cut(rest, "?")
	host, file, _ := strings.Cut(place, "/")
	r := Remote{Protocol: "nfs", Name: "/" + file}
	if dir, name := path.Split(file); dir == "" || name == "" || path.Clean(r.Name) != r.Name {
		return r, fmt.Errorf("is not nfs://HOST/DIRECTORY/FILE")
	}
	options, err := url.ParseQuery(query)
	if err != nil {
		return r, fmt.Errorf("has options that cannot be read: %w", err)
	}
	for key, values := range options {
		id, err := strconv.Atoi(values[0])
		switch {
		case key != "uid" && key != "gid":
			return r, fmt.Errorf("has the option %q; there are uid and gid", clip(key))
		case err != nil || id < 0 || id > math.MaxInt32 || len(values) > 1:
			return r, fmt.Errorf("has the %s %q, which is no number of a user or group", key, clip(strings.Join(values, ",")))
		case key == "uid":
			r.UID = &id
		default:
			r.GID = &id
		}
	}
	if _, port := SplitPortal(host); port != "" {
		return r, fmt.Errorf("names a port; the server's portmapper tells that")
	}
	r.Portals, err = parsePortals(host, portNFS)
	if err == nil && len(r.Portals) > 1 {
		err = fmt.Errorf("names several hosts; NFS has one")
	}
	return r, err
}

func parseISCSI(rest string) (Remote, error) {
	parts := strings.Split(rest, "/")
	if len(parts) != 3 || parts[1] == "" {
		return Remote{}, fmt.Errorf("is not iscsi://HOST/TARGET/LUN")
	}
	r := Remote{Protocol: "iscsi", Name: parts[1]}
	hosts := parts[0]
	if at := strings.LastIndexByte(hosts, '@'); at >= 0 {
		r.User, hosts = hosts[:at], hosts[at+1:]
	}
	if strings.ContainsAny(r.User, ":%") {
		return r, fmt.Errorf("holds a password; put that into a file, and name it in secretFile")
	}
	var err error
	if r.LUN, err = strconv.Atoi(parts[2]); err != nil || r.LUN < 0 || r.LUN > 16383 {
		return r, fmt.Errorf("has the LUN %q, which is not 0 to 16383", clip(parts[2]))
	}
	r.Portals, err = parsePortals(hosts, portISCSI)
	return r, err
}

// parsePortals reads hosts with commas between them, each with a port or not.
func parsePortals(text, port string) ([]string, error) {
	var portals []string
	for one := range strings.SplitSeq(text, ",") {
		host, given := SplitPortal(one)
		if given == "" {
			given = port
		}
		if n, err := strconv.Atoi(given); host == "" || err != nil || n < 1 || n > 65535 {
			return nil, fmt.Errorf("has the address %q, which is not HOST or HOST:PORT", clip(one))
		}
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		portals = append(portals, host+":"+given)
	}
	return portals, nil
}

// SplitPortal splits HOST:PORT, where the host may be an IPv6 address in brackets
// and the port may be missing.
func SplitPortal(portal string) (host, port string) {
	if rest, found := strings.CutPrefix(portal, "["); found {
		host, rest, _ = strings.Cut(rest, "]")
		return host, strings.TrimPrefix(rest, ":")
	}
	host, port, _ = strings.Cut(portal, ":")
	return host, port
}

// source checks where a drive's content comes from.
func (c *checker) source(field string, drive api.Drive) {
	if drive.SecretFile != "" {
		c.absolute(field+".secretFile", drive.SecretFile)
	}
	if !IsRemote(drive.Source) {
		c.absolute(field+".source", drive.Source)
		if drive.SecretFile != "" {
			c.add(field+".secretFile", "is for iSCSI with a user")
		}
		return
	}
	remote, err := ParseRemote(drive.Source)
	if err != nil || len(drive.Source) > maxPath || !isPrintable(drive.Source) {
		c.add(field+".source", "%q %v", clip(drive.Source), err)
		return
	}
	if drive.Mode != api.Attach && drive.Mode != api.ReadOnly {
		c.add(field+".mode", "is %s; a disk that is served over the network takes attach or readonly", clip(string(drive.Mode)))
	}
	if mode := WriteModeOf(drive); mode != api.Normal && mode != api.Writethrough && mode != api.WriteNothing {
		c.add(field+".writeMode", "is %s; a disk that is served over the network takes normal, writethrough or readonly", mode)
	}
	if (remote.User != "") != (drive.SecretFile != "") {
		c.add(field+".secretFile", "belongs to an iSCSI source with a user, iscsi://USER@HOST/…, and holds the password")
	}
}
