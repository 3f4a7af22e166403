// Package inventory keeps the machines that are known: their records in the
// store, the index that makes their names unique, and a list in memory that
// answers quickly however many there are.
//
// In the store, machines/UUID holds a [Record] and names/NAME the UUID that
// has the name; both always change in one commit, which is what makes a name
// taken. The list in memory follows the store's own stream of changes, so it
// is right no matter who made a change; a reader waits until the list has seen
// everything that was committed before the reading began.
package inventory
