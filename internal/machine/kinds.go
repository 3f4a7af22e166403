package machine

import "github.com/panalvm/panal/api"

// ProblemKind is api.KindWrongState.
func (e *StateError) ProblemKind() api.Kind { return api.KindWrongState }

// ProblemHelp is empty: the error's text says what would help.
func (e *StateError) ProblemHelp() string { return "" }

// ProblemKind is api.KindNotFound.
func (e *NotFoundError) ProblemKind() api.Kind { return api.KindNotFound }

// ProblemHelp says where the names are.
func (e *NotFoundError) ProblemHelp() string { return "`panal list` shows the machines" }

// ProblemKind is api.KindAmbiguous.
func (e *AmbiguousError) ProblemKind() api.Kind { return api.KindAmbiguous }

// ProblemHelp is empty: the error's text says what would help.
func (e *AmbiguousError) ProblemHelp() string { return "" }
