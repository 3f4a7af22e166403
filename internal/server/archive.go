package server

import (
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/panalvm/panal/api"
)

// archivePiece is how many bytes of an archive are passed on at once.
const archivePiece = 1 << 20

// exportStream passes an archive on as it is written. Whoever reads it may be as
// slow as he likes: it may be a tape. It ends with his connection, with the task, or
// when the daemon stops; an archive that is not whole ends as a broken
// connection, so that nobody takes it for one.
func (s *server) exportStream(w http.ResponseWriter, r *http.Request, in *bodyInput[api.ExportRequest]) {
	archive, err := s.services.Machines.ExportStream(r.Context(), in.Body)
	if err != nil {
		s.refuse(w, r, api.ExportStream.ID, err)
		return
	}
	defer archive.Close() //nolint:errcheck // what is wrong with it, Read says
	w.Header().Set("Content-Type", "application/x-tar")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set(api.HeaderTask, archive.Task().ID)
	w.WriteHeader(http.StatusOK)
	connection := http.NewResponseController(w)
	_ = connection.Flush() // he learns of the task while the disks are measured; if he has gone, writing says so
	_ = connection.SetWriteDeadline(time.Time{})
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-r.Context().Done():
			_ = archive.Close() // it may be waiting for the disks
		case <-archive.Broken():
			_ = connection.SetWriteDeadline(time.Now()) // he may be waiting for nothing
		case <-done:
		}
	}()
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{archive}, make([]byte, archivePiece)); err != nil {
		s.logger.LogAttrs(r.Context(), slog.LevelInfo, "an export was broken off",
			append(who(r.Context()), slog.String("task", archive.Task().ID), slog.String("error", err.Error()))...)
		panic(http.ErrAbortHandler)
	}
}
