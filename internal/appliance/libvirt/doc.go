// Package libvirt reads the domain XML of libvirt, of its QEMU and Xen drivers.
//
//	<domain type="kvm">
//	  name, uuid, memory, vcpu, cpu/topology
//	  os        type arch= machine=, loader, firmware, kernel
//	  devices   disk, controller, interface, serial, tpm, video, hostdev …
//	</domain>
//
// The format is documented at libvirt.org/formatdomain.html. Disks are named by
// the paths of the host that the domain was on. A disk's place is its <address>,
// or else follows from its target's name: hdc is the third IDE device.
package libvirt
