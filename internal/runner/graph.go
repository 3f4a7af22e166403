package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
)

// unmovable are the drivers that forbid QEMU to write a machine's state while
// an image of theirs is open (their migration blockers in QEMU 7.2's block/).
var unmovable = []string{"parallels", "qcow", "vdi", "vhdx", "vmdk", "vpc"}

// blockNode is an image, or an image's file, as QEMU was told to open it.
type blockNode struct {
	name, driver, file, backing string
	options                     map[string]any
}

// base is a chain of read-only images that a differencing image stands on, and
// that QEMU lets nobody save: the machine is taken off it while it is paused.
// Nothing of the guest's is in it, and a paused guest reads nothing.
type base struct {
	over  blockNode   // the differencing image
	nodes []blockNode // what stands below it, in the order they are opened in
}

// detach takes the machine off the bases that keep it from being saved, and
// returns how to put it on them again.
func (s *Session) detach(ctx context.Context) (reattach func(context.Context) error, err error) {
	bases, err := s.unmovableBases()
	if err != nil {
		return nil, err
	}
	reattach = func(ctx context.Context) error {
		var errs []error
		for _, base := range bases {
			errs = append(errs, s.putOn(ctx, base))
		}
		return errors.Join(errs...)
	}
	for _, base := range bases {
		if err := s.takeOff(ctx, base); err != nil {
			return nil, errors.Join(err, reattach(context.WithoutCancel(ctx)))
		}
	}
	return reattach, nil
}

func (s *Session) takeOff(ctx context.Context, base base) error {
	alone := maps.Clone(base.over.options)
	alone["backing"] = nil
	if err := s.reopen(ctx, alone); err != nil {
		return fmt.Errorf("take %s off its base: %w", base.over.name, err)
	}
	for _, node := range slices.Backward(base.nodes) {
		if err := s.monitor.Execute(ctx, "blockdev-del", map[string]any{"node-name": node.name}, nil); err != nil {
			return fmt.Errorf("close %s: %w", node.name, err)
		}
	}
	return nil
}

// putOn opens a base again, as far as it is closed, and puts the differencing
// image on it.
func (s *Session) putOn(ctx context.Context, base base) error {
	open, err := s.openNodes(ctx)
	if err != nil {
		return err
	}
	for _, node := range base.nodes {
		if open[node.name] {
			continue
		}
		if err := s.monitor.Execute(ctx, "blockdev-add", node.options, nil); err != nil {
			return fmt.Errorf("open %s again: %w", node.name, err)
		}
	}
	if err := s.reopen(ctx, base.over.options); err != nil {
		return fmt.Errorf("put %s on its base again: %w", base.over.name, err)
	}
	return nil
}

func (s *Session) reopen(ctx context.Context, options map[string]any) error {
	return s.monitor.Execute(ctx, "blockdev-reopen", map[string]any{"options": []any{options}}, nil)
}

// Reattach puts the machine on bases that an earlier daemon took it off for a
// save that it did not complete.
func (s *Session) Reattach(ctx context.Context) error {
	bases, err := s.unmovableBases()
	if err != nil {
		return err
	}
	for _, base := range bases {
		if err := s.putOn(ctx, base); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) openNodes(ctx context.Context) (map[string]bool, error) {
	var nodes []struct {
		Name string `json:"node-name"`
	}
	if err := s.monitor.Execute(ctx, "query-named-block-nodes", map[string]any{"flat": true}, &nodes); err != nil {
		return nil, err
	}
	open := map[string]bool{}
	for _, node := range nodes {
		open[node.Name] = true
	}
	return open, nil
}

// unmovableBases finds the bases by the arguments that QEMU was started with,
// which every daemon can read again.
func (s *Session) unmovableBases() ([]base, error) {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(s.program.PID) + "/cmdline")
	if err != nil {
		return nil, fmt.Errorf("read QEMU's arguments: %w", err)
	}
	nodes, err := parseNodes(line)
	if err != nil {
		return nil, err
	}
	return basesOf(nodes)
}

// parseNodes reads the block nodes out of a command line, in their order.
func parseNodes(line []byte) ([]blockNode, error) {
	args := strings.Split(string(bytes.TrimSuffix(line, []byte{0})), "\x00")
	var nodes []blockNode
	for i := 1; i < len(args); i++ {
		if args[i-1] != "-blockdev" {
			continue
		}
		var options map[string]any
		if err := json.Unmarshal([]byte(args[i]), &options); err != nil {
			return nil, fmt.Errorf("read QEMU's argument %s: %w", args[i], err)
		}
		text := func(key string) string { value, _ := options[key].(string); return value }
		nodes = append(nodes, blockNode{text("node-name"), text("driver"), text("file"), text("backing"), options})
	}
	return nodes, nil
}

// basesOf finds the chains to close: all that stands below an image that a
// drive has, if an unmovable one is among it. An unmovable image that a drive
// has itself cannot be closed.
func basesOf(nodes []blockNode) ([]base, error) {
	below := map[string]bool{}
	for _, node := range nodes {
		below[node.backing], below[node.file] = true, true
	}
	var bases []base
	for _, top := range nodes {
		if below[top.name] {
			continue
		}
		if isUnmovable(top) {
			return nil, problem.New(api.KindUnsupported, "shut it down instead, or attach the image as an overlay",
				"its drive %s has an image in the format %s, with which QEMU cannot save a machine", top.name, top.driver)
		}
		if lower := chainBelow(nodes, top.backing); slices.ContainsFunc(lower, isUnmovable) {
			bases = append(bases, base{top, lower})
		}
	}
	return bases, nil
}

func isUnmovable(node blockNode) bool { return slices.Contains(unmovable, node.driver) }

// chainBelow is a node, its file, and all that stands below it, in the order
// they are opened in.
func chainBelow(nodes []blockNode, name string) []blockNode {
	at := slices.IndexFunc(nodes, func(n blockNode) bool { return n.name == name })
	if name == "" || at < 0 {
		return nil
	}
	node := nodes[at]
	chain := append(chainBelow(nodes, node.backing), chainBelow(nodes, node.file)...)
	return append(chain, node)
}
