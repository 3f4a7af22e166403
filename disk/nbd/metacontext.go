package nbd

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/panalvm/panal/disk"
)

// metaContext is something that clients can ask about ranges. Its number is
// its index in metaContexts plus one; clients are told this number.
type metaContext struct {
	id   uint32
	name string
	flag func(disk.Layer) uint32
}

// metaContexts lists all.
func metaContexts() []metaContext {
	return []metaContext{
		{1, "base:allocation", allocation},
		{2, "qemu:allocation-depth", allocationDepth},
	}
}

// allocation is the state in base:allocation. As with QEMU, data that a parent
// holds is allocated: what counts is the disk as the client sees it.
func allocation(l disk.Layer) uint32 {
	if l.State == disk.Data {
		return 0
	}
	return stateHole | stateZero
}

// allocationDepth is the state in qemu:allocation-depth: 0 where no image of
// the chain says anything, 1 where the top one does, 2 where its parent does…
func allocationDepth(l disk.Layer) uint32 {
	if l.State == disk.Unallocated {
		return 0
	}
	return uint32(l.Depth) + 1
}

// metaContexts answers LIST_META_CONTEXT and SET_META_CONTEXT.
func (c *conn) metaContexts(o received) error {
	set := o.option == optSetMetaContext
	if set {
		c.contexts = nil // even if this option fails
	}
	if !c.chunked() {
		return c.refuse(o, repErrInvalid, "metadata needs structured replies: ask for these first")
	}
	name, queries, ok := parseQueries(o.data)
	if !ok {
		return c.refuse(o, repErrInvalid, "the option's lengths do not add up, or a query has no namespace")
	}
	if find(c.server.exports, name) == nil {
		return c.refuse(o, repErrUnknown, "there is no export of this name")
	}
	found := matching(queries, set)
	for _, m := range found {
		id := uint32(0)
		if set {
			id = m.id
		}
		c.answer(o, repMetaContext, append(binary.BigEndian.AppendUint32(nil, id), m.name...))
	}
	if set {
		c.named, c.contexts = name, found
	}
	return c.acknowledge(o)
}

// parseQueries reads the data of both options: an export's name, and queries.
func parseQueries(data []byte) (name string, queries []string, ok bool) {
	name, data, ok = cutString(data)
	if !ok || len(data) < 4 {
		return "", nil, false
	}
	n := binary.BigEndian.Uint32(data)
	data = data[4:]
	if uint64(n)*4 > uint64(len(data)) {
		return "", nil, false
	}
	for ; n > 0; n-- {
		var query string
		query, data, ok = cutString(data)
		if !ok || strings.IndexByte(query, ':') <= 0 {
			return "", nil, false
		}
		queries = append(queries, query)
	}
	return name, queries, len(data) == 0
}

// matching finds the contexts that queries mean. When they are listed, no
// query means all, and a namespace all that is in it; when they are set, only
// whole names count.
func matching(queries []string, set bool) []metaContext {
	return slices.DeleteFunc(metaContexts(), func(m metaContext) bool {
		space := m.name[:strings.IndexByte(m.name, ':')+1]
		return !slices.Contains(queries, m.name) && (set || len(queries) > 0 && !slices.Contains(queries, space))
	})
}
