// Package archtest holds Panal's architecture up as a test: who may import whom and why, and the habits that keep the
// sources pleasant to read.
//
// The rules are data, in rules.go, each with its reason and with what to do instead, so that whoever breaks one learns
// why it is there. Where a rule is wrong, change it in the commit that changes the code. The other checks, one function
// each, are listed in checks.go.
//
// Sources are parsed, not compiled: the test needs neither network nor build and ends within a second.
package archtest
