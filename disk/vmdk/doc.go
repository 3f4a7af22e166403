// Package vmdk reads and writes the virtual disks of VMware.
package vmdk
