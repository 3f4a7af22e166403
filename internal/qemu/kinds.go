package qemu

import "github.com/panalvm/panal/api"

// ProblemKind is api.KindUnsupported.
func (e *UnsupportedError) ProblemKind() api.Kind { return api.KindUnsupported }

// ProblemHelp is empty: the error's text says what to do.
func (e *UnsupportedError) ProblemHelp() string { return "" }

// ProblemKind is api.KindMissing.
func (e *MissingError) ProblemKind() api.Kind { return api.KindMissing }

// ProblemHelp is empty: the error's text says what to do.
func (e *MissingError) ProblemHelp() string { return "" }
