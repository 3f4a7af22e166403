// Package machine knows what a machine is: how its spec is completed, checked
// and changed, and which moves its life has. It decides and never acts: it
// reads no file, no clock and no store, so that every rule can be tested by
// itself.
//
// # The life of a machine
//
//	                  create, register
//	                         │
//	                         ▼       start
//	    ┌─────────────────► off ─────────────────► starting
//	    │                    ▲                      │    ▲
//	    │                    │ stop                 │    │
//	    │ QEMU has ended     │ (drops the state)    │    │ start
//	    │                    │                      ▼    │ (reads the state)
//	stopping                 └─────────────────── ╴╴╴╴ saved
//	  ▲  ▲  ▲                                       ╷    ▲
//	  │  │  └─ stop ── starting                     │    │ QEMU has ended
//	  │  │                                          ▼    │
//	  │  └──── stop, shutdown, ─────────────── running   │
//	  │        the guest powers off             │  ▲     │
//	  │                                   pause │  │ resume
//	  │                                         ▼  │     │
//	  └─────── stop ────────────────────────── paused    │
//	                                                     │
//	               running, paused ─── save ──► saving ──┘
//
// reset moves nothing: a running machine is running after it, a paused one
// paused. set and rename move nothing either; [Immutable] says what they may
// change in which state. delete needs off or saved; with force it is a stop
// first. A shutdown that the guest does not follow in time goes back from
// stopping to running. A start that fails, or is cancelled, goes back to where
// it came from: off or saved. So does a save: the machine goes on running, or
// stays paused.
//
// A machine whose process ends without a command goes from any state with a
// process straight to off, with the reason in its status; [Decide] says
// whether it is started again.
//
// # What a daemon that starts does
//
// It finds each machine in the state that was stored last, and a process or
// none:
//
//	stored state   process: asks QEMU, goes on    no process
//	off, saved     a stray: it is ended           stays
//	starting       running or paused, as QEMU     off, or saved if the saved
//	               says; still reading a saved     state is still there
//	               state: ended, then saved
//	running        running                        off: killed, host-restart, or
//	paused         paused                          what QEMU's log says
//	stopping       running; the shutdown's task   off: the stop had its way
//	               is reported as failed
//	saving         running; the half-written      saved if the file was complete,
//	               state is deleted                otherwise off
package machine
