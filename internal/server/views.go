package server

import (
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/panalvm/panal/api"
)

type logInput struct {
	Ref  string `path:"ref" doc:"the machine's name, UUID, or a unique prefix of either"`
	Name string `query:"name" default:"qemu" doc:"qemu, or a serial line's name"`
	Tail int64  `query:"tail" minimum:"0" doc:"bytes from the end; 0 for all"`
}

func (s *server) registerViews(h huma.API) {
	schemaOf(h, reflect.TypeFor[api.ConsoleControl]()) // no body is one, but the description is to have it
	stream(h, api.AttachConsole, http.StatusSwitchingProtocols, responses{
		http.StatusSwitchingProtocols: {description: "A WebSocket. Binary messages, both ways, are the bytes of the serial line; " +
			"text messages from the client are a ConsoleControl. It closes with 1000 when the machine has ended, with 1001 when the daemon stops."},
	}, s.console)
	stream(h, api.AttachDisplay, http.StatusSwitchingProtocols, responses{
		http.StatusSwitchingProtocols: {description: "A WebSocket, of the subprotocol binary when that is asked for. Binary messages, both ways, " +
			"are the bytes of RFB (RFC 6143). It closes with 1000 when the machine has ended, with 1001 when the daemon stops."},
	}, s.display)
	stream(h, api.TakeScreenshot, http.StatusOK, responses{
		http.StatusOK: {description: "The picture", mediaType: "image/png"},
	}, s.screenshot)
	stream(h, api.ReadLog, http.StatusOK, responses{
		http.StatusOK: {description: "The log, as it was printed", mediaType: "text/plain"},
	}, s.log)
}

func (s *server) screenshot(w http.ResponseWriter, r *http.Request, in *refInput) {
	picture, err := s.services.Views.Screenshot(r.Context(), in.Ref)
	if err != nil {
		s.refuse(w, r, api.TakeScreenshot.ID, err)
		return
	}
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Content-Length", strconv.Itoa(len(picture)))
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(picture)
}

func (s *server) log(w http.ResponseWriter, r *http.Request, in *logInput) {
	text, err := s.services.Views.Log(r.Context(), in.Ref, in.Name, in.Tail)
	if err != nil {
		s.refuse(w, r, api.ReadLog.ID, err)
		return
	}
	defer text.Close()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff") // a guest writes what it likes
	piece := make([]byte, 64<<10)
	for {
		n, readErr := text.Read(piece)
		if _, err := w.Write(piece[:n]); err != nil || readErr == io.EOF {
			return
		}
		if readErr != nil {
			s.logger.LogAttrs(r.Context(), slog.LevelWarn, "a log cannot be read to its end",
				append(who(r.Context()), slog.String("machine", in.Ref), slog.String("error", readErr.Error()))...)
			panic(http.ErrAbortHandler) // so that the client does not take it for whole
		}
		extendWrite(w)
	}
}
