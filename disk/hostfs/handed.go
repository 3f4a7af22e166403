package hostfs

import "os"

// Of makes a File of a file that is open already, such as one that another
// process has opened and handed over. It takes no lock: one that was taken where
// it was opened goes with the descriptor. The file is closed with the File.
func Of(file *os.File, write bool) (*File, error) { return wrap(file, write) }
