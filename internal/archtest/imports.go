package archtest

import (
	"fmt"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
)

// pattern matches packages as the go command's patterns do: "..." is anything, and a closing "/..." may be absent.
func pattern(text string) *regexp.Regexp {
	const rest = "/..."
	tail := ""
	if strings.HasSuffix(text, rest) {
		text, tail = strings.TrimSuffix(text, rest), "(/.*)?"
	}
	quoted := strings.ReplaceAll(regexp.QuoteMeta(text), `\.\.\.`, ".*")
	return regexp.MustCompile("^" + quoted + tail + "$")
}

// matcher is several patterns of which one suffices.
type matcher []*regexp.Regexp

func matching(patterns []string) matcher {
	var m matcher
	for _, text := range patterns {
		m = append(m, pattern(text))
	}
	return m
}

func (m matcher) match(path string) bool {
	return slices.ContainsFunc(m, func(r *regexp.Regexp) bool { return r.MatchString(path) })
}

// edge is one import, in the program itself, of a package by a file.
type edge struct {
	to   string
	file string // without its folder
	pos  token.Pos
}

// graph says for each package of the module what its files, tests excepted, import.
func (t *tree) graph() map[string][]edge {
	g := map[string][]edge{}
	for _, p := range t.packages {
		for _, f := range p.files {
			if f.test {
				continue
			}
			for _, i := range t.imports(f) {
				g[p.path] = append(g[p.path], edge{to: i.path, file: path.Base(f.name), pos: i.pos})
			}
		}
	}
	return g
}

// checkImports holds every package against the rules.
func checkImports(t *tree, rules []rule) []finding {
	g := t.graph()
	var found []finding
	for _, r := range rules {
		from, except := matching(r.from), matching(r.except)
		for _, p := range t.packages {
			if from.match(p.path) && !except.match(p.path) {
				found = append(found, r.check(t, g, p.path)...)
			}
		}
	}
	return found
}

// check holds one package against one rule.
func (r rule) check(t *tree, g map[string][]edge, from string) []finding {
	var found []finding
	deny, allow := matching(r.deny), matching(r.allow)
	for _, e := range g[from] {
		if exempt, _ := path.Match(r.files, e.file); exempt {
			continue
		}
		for _, way := range r.ways(g, e) {
			end := way[len(way)-1]
			if deny.match(end) && !allow.match(end) {
				found = append(found, r.finding(t, e.pos, from, way))
				break
			}
		}
	}
	return found
}

// ways lists what an import leads to, each with the way there, the nearest first: itself, and for rules that reach
// further everything of the module that it imports in turn.
func (r rule) ways(g map[string][]edge, e edge) [][]string {
	ways := [][]string{{e.to}}
	if !r.reach {
		return ways
	}
	seen := map[string]bool{e.to: true}
	for i := 0; i < len(ways); i++ {
		way := ways[i]
		for _, next := range g[way[len(way)-1]] {
			if !seen[next.to] {
				seen[next.to] = true
				ways = append(ways, append(slices.Clone(way), next.to))
			}
		}
	}
	return ways
}

func (r rule) finding(t *tree, pos token.Pos, from string, way []string) finding {
	what := fmt.Sprintf("%s imports %s", from, way[0])
	if len(way) > 1 {
		what += ", which leads to " + strings.Join(way[1:], ", then ")
	}
	return finding{pos: t.positions.Position(pos), rule: r.name, what: what, because: r.because, instead: r.instead}
}
