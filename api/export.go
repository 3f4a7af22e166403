package api

// HeaderTask is the header of ExportStream's answer that names its task.
const HeaderTask = "Panal-Task"

// ExportRequest asks for machines in a form that other programs take: OVF, as an
// archive or in a folder.
type ExportRequest struct {
	Machines    []string          `json:"machines" minItems:"1" doc:"names, UUIDs or unique prefixes, in the order in which they are to start"`
	Destination string            `json:"destination,omitempty" doc:"absolute path of the archive (.ova), of the descriptor (.ovf) with its files beside it, or of the folder that these are put in, with a slash at its end; none of a stream"`
	Name        string            `json:"name,omitempty" doc:"what the appliance is called; default the destination's name, or in a folder and a stream the first machine's"`
	Replace     bool              `json:"replace,omitempty" doc:"replace files that are there"`
	Version     string            `json:"version,omitempty" enum:"1.0,1.1,2.0" doc:"of OVF, default 1.1"`
	For         string            `json:"for,omitempty" enum:"generic,virtualbox,vmware,xen,qemu" doc:"whose names hardware is described by, default generic"`
	DiskFormat  string            `json:"diskFormat,omitempty" doc:"default vmdk:streamOptimized, which all take"`
	Digest      string            `json:"digest,omitempty" enum:"sha1,sha256,sha512" doc:"of the manifest, default sha256"`
	Compress    bool              `json:"compress,omitempty" doc:"compress the disks' files by gzip, where their format does not by itself"`
	Properties  map[string]string `json:"properties,omitempty" doc:"what can be set when it is imported, with the defaults"`
	Licence     string            `json:"licence,omitempty" doc:"a text that who imports it must agree to"`
	Passphrase  string            `json:"passphrase,omitempty" doc:"encrypts the disks, by OVF 2.0; it is not kept"`
	Key         string            `json:"key,omitempty" doc:"private key in PEM form, which signs the manifest; it is not kept"`
	Certificate string            `json:"certificate,omitempty" doc:"certificates in PEM form, that of the key first"`
}
