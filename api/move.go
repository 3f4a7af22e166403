package api

// MoveRequest says where a machine's folder is to go.
type MoveRequest struct {
	Directory string `json:"directory,omitempty" doc:"absolute path of the directory that the folder is moved into; it must be there"`
	Pool      string `json:"pool,omitempty" doc:"the pool that it is moved into, instead of a directory"`
}
