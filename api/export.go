package api

// ExportRequest asks for machines in a form that other programs take: OVF, as an
// archive or in a folder.
type ExportRequest struct {
	Machines    []string `json:"machines" minItems:"1" doc:"names, UUIDs or unique prefixes, in the order in which they are to start"`
	Destination string   `json:"destination" doc:"absolute path of the archive; of the descriptor (.ovf) for a folder with its files beside it"`
	Name        string   `json:"name,omitempty" doc:"what the appliance is called; default the destination's name"`
	Replace     bool     `json:"replace,omitempty" doc:"replace files that are there"`
	Version     string   `json:"version,omitempty" enum:"1.0,1.1,2.0" doc:"of OVF, default 1.1"`
	For         string   `json:"for,omitempty" enum:"generic,virtualbox,vmware,xen,qemu" doc:"whose names hardware is described by, default generic"`
	DiskFormat  string   `json:"diskFormat,omitempty" doc:"default vmdk:streamOptimized, which all take"`
	Digest      string   `json:"digest,omitempty" enum:"sha1,sha256,sha512" doc:"of the manifest, default sha256"`
	Licence     string   `json:"licence,omitempty" doc:"a text that who imports it must agree to"`
	Key         string   `json:"key,omitempty" doc:"private key in PEM form, which signs the manifest; it is not kept"`
	Certificate string   `json:"certificate,omitempty" doc:"certificates in PEM form, that of the key first"`
}
