// Package api holds what travels between Panal's daemon and its clients: the
// objects, the requests, the errors, and the table of operations. It imports
// nothing of Panal, so that anyone can import it; the daemon's OpenAPI
// description is generated from these types.
//
// The words are those of the field: a machine is described by a [Spec] and has
// a [Status]; a long piece of work is a [Task]; every change is an [Event] in
// one ordered stream.
//
// # Revisions
//
// Every object carries the revision of its last change, a number that only
// grows, shared by all objects. A client that changes an object sends the
// revision it saw; when the object has changed since, the daemon answers
// [KindConflict] and changes nothing. The same numbers order the events, so a
// client that has read an object at revision N follows it with the events
// after N and misses nothing.
//
// # Errors
//
// An operation that fails answers with a [Problem] (RFC 9457) whose Kind is
// stable and meant for programs, while Detail is meant for people.
package api
