// Package statetest is the suite that every state.Store passes: each line of the
// contract is a check with a name and the reason it matters, and a model test tries
// what nobody thought of.
package statetest
