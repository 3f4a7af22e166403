package console

import (
	"io"
	"os"
)

// follower reads a log while it is appended to, and keeps it within its bound.
// It belongs to one goroutine.
type follower struct {
	log  *Log
	file *os.File
	at   int64 // how far the file was read
	read int64 // bytes since the file was last trimmed
}

// follow begins at the log's end, and gives what comes before, up to n bytes.
func (l *Log) follow(n int64) (f *follower, earlier []byte, err error) {
	file, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	f = &follower{log: l, file: file}
	info, err := file.Stat()
	if err == nil {
		f.at = info.Size()
		earlier, err = io.ReadAll(io.NewSectionReader(file, max(0, f.at-n), min(n, f.at)))
	}
	if err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	return f, earlier, nil
}

// each calls use with what was appended, up to what is there when it is
// called: it ends also when the file is written to faster than it is read.
func (f *follower) each(buffer []byte, use func([]byte)) error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < f.at { // somebody emptied it
		f.at = 0
	}
	for left := info.Size() - f.at; left > 0; {
		n, err := f.file.ReadAt(buffer[:min(int64(len(buffer)), left)], f.at)
		if n == 0 && err != nil {
			return err
		}
		f.at, f.read, left = f.at+int64(n), f.read+int64(n), left-int64(n)
		use(buffer[:n])
	}
	return nil
}

// trim makes the log fit its bound, if enough was read since the last time to
// make that worth while. What was not read yet is never cut off.
func (f *follower) trim() error {
	if f.read < f.log.bound/8 {
		return nil
	}
	f.read = 0
	cut, err := f.log.cut(f.file, f.at)
	f.at -= cut
	return err
}
