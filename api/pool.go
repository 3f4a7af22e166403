package api

// Pool is a place that machines' folders are put into.
type Pool struct {
	Name     string   `json:"name"`
	Kind     PoolKind `json:"kind" enum:"directory"`
	Path     string   `json:"path" doc:"absolute path of the directory"`
	Size     Size     `json:"size" doc:"bytes of its file system"`
	Free     Size     `json:"free" doc:"bytes that can still be written to its file system"`
	Machines []string `json:"machines" doc:"names of the machines whose folders are in it"`
	Problem  string   `json:"problem,omitempty" doc:"why it cannot be used now, such as that it is not mounted"`
}

// PoolKind is what a pool is.
type PoolKind string

// PoolDirectory is a directory of the host, of whatever file system.
const PoolDirectory PoolKind = "directory"

// PoolList is all pools, by their names.
type PoolList struct {
	Pools []Pool `json:"pools"`
}

// AddPoolRequest says what a directory is to be called as a pool.
type AddPoolRequest struct {
	Name string `json:"name"`
	Path string `json:"path" doc:"absolute path of the directory, which must be there"`
}
