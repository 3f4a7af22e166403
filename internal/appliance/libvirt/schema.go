package libvirt

import (
	"encoding/xml"
	"strconv"
	"strings"
)

// domain is a domain's XML, as far as it says something about hardware.
type domain struct {
	XMLName     xml.Name `xml:"domain"`
	Type        string   `xml:"type,attr"`
	Name        string   `xml:"name"`
	Title       string   `xml:"title"`
	Description string   `xml:"description"`
	UUID        string   `xml:"uuid"`
	System      struct {
		ID string `xml:"id,attr"` // a URL of libosinfo's
	} `xml:"metadata>libosinfo>os"`
	Memory    amount  `xml:"memory"`
	Current   amount  `xml:"currentMemory"`
	MaxMemory *amount `xml:"maxMemory"`
	VCPU      struct {
		Current string `xml:"current,attr"`
		Count   string `xml:",chardata"`
	} `xml:"vcpu"`
	CPU struct {
		Mode     string    `xml:"mode,attr"`
		Model    string    `xml:"model"`
		Topology *topology `xml:"topology"`
	} `xml:"cpu"`
	OS      osNode  `xml:"os"`
	Clock   clock   `xml:"clock"`
	Devices devices `xml:"devices"`
	Tune    struct {
		Shares string `xml:"shares"`
		Quota  string `xml:"quota"`
	} `xml:"cputune"`
	HugePages *struct{} `xml:"memoryBacking>hugepages"`
	Security  *struct {
		Type string `xml:"type,attr"`
	} `xml:"launchSecurity"`
}

type amount struct {
	Unit string `xml:"unit,attr"`
	Text string `xml:",chardata"`
}

type topology struct {
	Sockets int `xml:"sockets,attr"`
	Dies    int `xml:"dies,attr"`
	Cores   int `xml:"cores,attr"`
	Threads int `xml:"threads,attr"`
}

type osNode struct {
	Firmware string `xml:"firmware,attr"`
	Type     struct {
		Arch    string `xml:"arch,attr"`
		Machine string `xml:"machine,attr"`
		Text    string `xml:",chardata"`
	} `xml:"type"`
	Loader *struct {
		Type   string `xml:"type,attr"`
		Secure string `xml:"secure,attr"`
		Path   string `xml:",chardata"`
	} `xml:"loader"`
	Features []struct {
		Enabled string `xml:"enabled,attr"`
		Name    string `xml:"name,attr"`
	} `xml:"firmware>feature"`
	Kernel string `xml:"kernel"`
	Menu   struct {
		Enabled string `xml:"enable,attr"`
	} `xml:"bootmenu"`
	Boot []struct {
		Device string `xml:"dev,attr"`
	} `xml:"boot"`
}

type clock struct {
	Offset string `xml:"offset,attr"`
}

type devices struct {
	Disks       []diskNode   `xml:"disk"`
	Controllers []controller `xml:"controller"`
	Interfaces  []netdev     `xml:"interface"`
	Serials     []chardev    `xml:"serial"`
	Consoles    []chardev    `xml:"console"`
	Parallels   []chardev    `xml:"parallel"`
	TPM         *struct {
		Backend struct {
			Type    string `xml:"type,attr"`
			Version string `xml:"version,attr"`
		} `xml:"backend"`
	} `xml:"tpm"`
	Video []struct {
		Model struct {
			Type string `xml:"type,attr"`
		} `xml:"model"`
	} `xml:"video"`
	Others []other `xml:",any"`
}

// other is a device that machines do not have here.
type other struct {
	XMLName xml.Name
	Type    string `xml:"type,attr"`
	Model   string `xml:"model,attr"`
}

type diskNode struct {
	Type   string `xml:"type,attr"`
	Device string `xml:"device,attr"`
	Driver struct {
		Type    string `xml:"type,attr"`
		Cache   string `xml:"cache,attr"`
		Discard string `xml:"discard,attr"`
		Zeroes  string `xml:"detect_zeroes,attr"`
	} `xml:"driver"`
	Boot bootNode `xml:"boot"`
	Tune struct {
		Bytes      limit `xml:"total_bytes_sec"`
		ReadBytes  limit `xml:"read_bytes_sec"`
		WriteBytes limit `xml:"write_bytes_sec"`
		Requests   limit `xml:"total_iops_sec"`
		Reads      limit `xml:"read_iops_sec"`
		Writes     limit `xml:"write_iops_sec"`
	} `xml:"iotune"`
	Source struct {
		File     string `xml:"file,attr"`
		Dev      string `xml:"dev,attr"`
		Dir      string `xml:"dir,attr"`
		Protocol string `xml:"protocol,attr"`
		Name     string `xml:"name,attr"`
		Pool     string `xml:"pool,attr"`
		Volume   string `xml:"volume,attr"`
		Encrypt  *struct {
			Format string `xml:"format,attr"`
		} `xml:"encryption"`
	} `xml:"source"`
	Target struct {
		Dev      string `xml:"dev,attr"`
		Bus      string `xml:"bus,attr"`
		Rotation string `xml:"rotation_rate,attr"`
	} `xml:"target"`
	Serial    string    `xml:"serial"`
	ReadOnly  *struct{} `xml:"readonly"`
	Shareable *struct{} `xml:"shareable"`
	Transient *struct{} `xml:"transient"`
	Encrypt   *struct {
		Format string `xml:"format,attr"`
	} `xml:"encryption"`
	Address *address `xml:"address"`
}

// bootNode is a device's place among those that are tried.
type bootNode struct {
	Order string `xml:"order,attr"`
}

// limit is a limit of requests or bytes a second; 0 for none.
type limit int64

// UnmarshalText reads a number; what is none is no limit.
func (l *limit) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err == nil && n > 0 && n < 1<<40 {
		*l = limit(n)
	}
	return nil
}

type address struct {
	Type       string `xml:"type,attr"`
	Controller string `xml:"controller,attr"`
	Bus        string `xml:"bus,attr"`
	Target     string `xml:"target,attr"`
	Unit       string `xml:"unit,attr"`
}

type controller struct {
	Type  string `xml:"type,attr"`
	Index string `xml:"index,attr"`
	Model string `xml:"model,attr"`
}

type netdev struct {
	Boot bootNode `xml:"boot"`
	Type string   `xml:"type,attr"`
	MAC  struct {
		Address string `xml:"address,attr"`
	} `xml:"mac"`
	Source struct {
		Network string `xml:"network,attr"`
		Bridge  string `xml:"bridge,attr"`
		Dev     string `xml:"dev,attr"`
		Group   string `xml:"portgroup,attr"`
	} `xml:"source"`
	Model struct {
		Type string `xml:"type,attr"`
	} `xml:"model"`
	Link struct {
		State string `xml:"state,attr"`
	} `xml:"link"`
}

type chardev struct {
	Type   string `xml:"type,attr"`
	Target struct {
		Type string `xml:"type,attr"`
	} `xml:"target"`
}
