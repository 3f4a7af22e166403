package etcdstate

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// bridge is a zap core that writes to slog.
type bridge struct {
	logger *slog.Logger
	fields []zapcore.Field
}

// newZap returns a zap logger that writes to logger, and hands what etcd holds to be
// the end of the process to end.
func newZap(logger *slog.Logger, end *failure) *zap.Logger {
	return zap.New(&bridge{logger: logger}, zap.WithFatalHook(end), zap.WithPanicHook(end))
}

// Enabled implements zapcore.LevelEnabler.
func (b *bridge) Enabled(level zapcore.Level) bool {
	return b.logger.Enabled(context.Background(), slogLevel(level))
}

// With implements zapcore.Core.
func (b *bridge) With(fields []zapcore.Field) zapcore.Core {
	return &bridge{logger: b.logger, fields: append(b.fields[:len(b.fields):len(b.fields)], fields...)}
}

// Check implements zapcore.Core.
func (b *bridge) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !b.Enabled(entry.Level) || harmless[entry.Message] {
		return checked
	}
	return checked.AddCore(entry, b)
}

// Write implements zapcore.Core.
func (b *bridge) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	encoder := zapcore.NewMapObjectEncoder()
	for _, field := range append(b.fields[:len(b.fields):len(b.fields)], fields...) {
		field.AddTo(encoder)
	}
	attrs := make([]slog.Attr, 0, len(encoder.Fields))
	for name, value := range encoder.Fields {
		attrs = append(attrs, slog.Any(name, value))
	}
	b.logger.LogAttrs(context.Background(), slogLevel(entry.Level), entry.Message, attrs...)
	return nil
}

// Sync implements zapcore.Core.
func (b *bridge) Sync() error { return nil }

// harmless are what etcd warns of, or takes for an error, at every start of a
// store that is used as this one is.
var harmless = map[string]bool{
	"simple token is not cryptographically signed": true, // nobody logs in
	"exceeded recommended request limit":           true, // MaxCommitBytes is ours to choose
	"Failed to detect schema version":              true, // of a new, empty directory
	"failed to update storage version":             true, // the same
}

// slogLevel puts etcd's many information messages where they do not disturb.
func slogLevel(level zapcore.Level) slog.Level {
	switch {
	case level <= zapcore.InfoLevel:
		return slog.LevelDebug
	case level == zapcore.WarnLevel:
		return slog.LevelWarn
	}
	return slog.LevelError
}

// failure is the first thing etcd held to be the end of the process. As a zap hook it
// ends only the goroutine that met it.
type failure struct {
	mu  sync.Mutex
	err error
	// happened is closed when err is set.
	happened chan struct{}
}

func newFailure() *failure {
	return &failure{happened: make(chan struct{})}
}

// OnWrite implements zapcore.CheckWriteHook.
func (f *failure) OnWrite(entry *zapcore.CheckedEntry, fields []zapcore.Field) {
	err := fmt.Errorf("%s", entry.Message)
	for _, field := range fields {
		if cause, ok := field.Interface.(error); ok && field.Type == zapcore.ErrorType {
			err = fmt.Errorf("%s: %w", entry.Message, cause)
		}
	}
	f.report(err)
	runtime.Goexit()
}

func (f *failure) report(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
		close(f.happened)
	}
}

// cause returns the failure, nil when there is none.
func (f *failure) cause() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
