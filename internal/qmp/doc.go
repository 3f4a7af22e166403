// Package qmp speaks the QEMU Machine Protocol, the JSON dialogue by which a
// running QEMU is watched and controlled, over a Unix socket.
//
// A Client is one connection:
//
//	client, err := qmp.Dial(ctx, "/run/panal/web/qmp")
//	defer client.Close()
//	go func() {
//		for event := range client.Events() { … }
//	}()
//	err = client.Execute(ctx, "set_link", map[string]any{"name": "nic0", "up": false}, nil)
//
// The wire, one JSON object a line, each ended by CR LF:
//
//	QEMU  {"QMP": {"version": {…}, "capabilities": […]}}       greeting
//	we    {"execute": "qmp_capabilities", "id": 1}
//	QEMU  {"return": {}, "id": 1}
//	we    {"execute": "stop", "id": 2}
//	QEMU  {"event": "STOP", "timestamp": {…}}                  at any moment
//	QEMU  {"return": {}, "id": 2}                               or "error"
//
// QEMU serves one connection of a monitor at a time: a second one connects (the
// kernel accepts it) and gets its greeting when the first has ended.
//
// QEMU is not trusted: a guest may have taken it over. A line over 64 MiB,
// anything that is not QMP, or events piling up beyond bounds ends the
// connection with an error that is ErrProtocol; nothing else is harmed.
//
// Reference: QEMU 7.2, docs/interop/qmp-spec.txt and qemu-qmp-ref.
package qmp
