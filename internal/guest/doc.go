// Package guest talks to the QEMU guest agent, the program inside a guest that
// runs commands, freezes file systems and tells what the guest knows of itself.
//
// The agent sits at the guest's end of a virtio-serial port; a Client at the
// host's end, a socket of QEMU's. Nothing marks who is there: the port keeps
// what an agent that died left in it, and takes commands nobody reads. So each
// call first makes sure of its peer:
//
//	we     0xFF {"execute": "guest-sync-delimited", "arguments": {"id": 83}}
//	agent  (rest of some earlier answer) 0xFF {"return": 83}
//	we     {"execute": "guest-get-osinfo"}
//	agent  {"return": {…}}
//
// An agent that is not there, or hangs, is thus noticed before it could carry
// out much later what nobody wants any more.
//
// The guest is not trusted: an answer has a limit, and what is not an answer is
// an error.
//
// Reference: QEMU 7.2, qga/qapi-schema.json.
package guest
